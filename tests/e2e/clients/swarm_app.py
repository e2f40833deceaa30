"""Two agents of openai-swarm, of which the first hands over to the second; traced by one of the instrumentations.

  swarm_app.py genai|openinference|openllmetry|mlflow

Environment and output are those of app.py.
"""

import sys

import app
import openai
from swarm import Agent, Swarm


def transfer_to_agent_b():
    """Hands over to the agent that speaks in haikus."""
    return agent_b


agent_a = Agent(name="Agent A", model="gpt-4o-mini", instructions="You are a helpful agent.", functions=[transfer_to_agent_b])
agent_b = Agent(name="Agent B", model="gpt-4o-mini", instructions="Only speak in Haikus.")


def main():
    request, finish = getattr(app, sys.argv[1])()
    client = Swarm(client=openai.OpenAI(max_retries=0, api_key="sk-fake"))
    with request("swarm") as trace_id:
        response = client.run(agent=agent_a, messages=[{"role": "user", "content": "I want to talk to agent B."}])
    assert response.agent is agent_b, response.agent
    print("swarm", trace_id)
    finish()


if __name__ == "__main__":
    main()
