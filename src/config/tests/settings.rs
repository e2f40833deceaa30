//! What is said about the settings of one component.

use super::*;

#[test]
fn a_right_configuration_has_no_problem() {
    let text = with_exporter("uri: 'a://b', mode: strict, headers: {x-a: b}, timeout: 3s");
    let loaded = World::default().load_text(&text).unwrap();
    assert_eq!(loaded.warnings.to_string(), "");
    let running = loaded.config.running(ComponentKind::Receiver);
    assert_eq!(running.iter().map(|component| component.id.to_string()).collect::<Vec<_>>(), ["listener"]);
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let text = "\
recievers:
  listener:
exporters:
  sender:
    urii: a://b
    mode: strickt
    headers: [x]
    timeout: 3
  sender/2:
    uri: nowhere
    timeout: soon
    pause: later
  sendr:
service:
  pipelines:
    traces:
      receivers: [listener]
      exporters: [sender, sender/3]
";
    assert_eq!(
        said(text),
        "\
c.yaml:1:1: recievers: unknown key `recievers`; did you mean `receivers`?
c.yaml:5:5: exporters.sender.urii: unknown key `urii`; did you mean `uri`?
c.yaml:5:5: exporters.sender.uri: the key `uri` is missing
c.yaml:6:11: exporters.sender.mode: unknown value `strickt`; did you mean `strict`?
c.yaml:7:14: exporters.sender.headers: expected a map, got a list
c.yaml:8:14: exporters.sender.timeout: expected text, got a number; put it in quotes to make it text
c.yaml:9:3: warning: exporters.sender/2: the exporter is defined, but no pipeline uses it
c.yaml:11:14: exporters.sender/2.timeout: `soon` is not a duration
c.yaml:12:12: exporters.sender/2.pause: `later` is not a duration
c.yaml:13:3: exporters.sendr: unknown exporter type `sendr`; did you mean `sender`?
c.yaml:17:19: service.pipelines.traces.receivers[0]: the receiver `listener` is not defined under `receivers`; there are none
c.yaml:18:27: service.pipelines.traces.exporters[1]: the exporter `sender/3` is not defined under `exporters`; did you mean `sender/2`?"
    );
}

#[test]
fn a_component_judges_its_own_settings() {
    let text = with_exporter("uri: nowhere, from: [good, bad]");
    assert_eq!(
        said(&text),
        "c.yaml:3:17: exporters.sender.uri: `nowhere` is not a URI\n\
         c.yaml:3:39: exporters.sender.from[1]: bad source"
    );
}

#[test]
fn a_key_that_does_not_fit_hides_no_other_problem() {
    assert_eq!(
        said(&with_exporter("uri: nowhere, mdoe: strict, timeout: soon, from: [1, good]")),
        "c.yaml:3:26: exporters.sender.mdoe: unknown key `mdoe`; did you mean `mode`?\n\
         c.yaml:3:49: exporters.sender.timeout: `soon` is not a duration\n\
         c.yaml:3:62: exporters.sender.from[0]: expected text, got a number; put it in quotes to make it text"
    );
    assert_eq!(
        said(&with_exporter("uri: nowhere, mdoe: strict")),
        "c.yaml:3:17: exporters.sender.uri: `nowhere` is not a URI\n\
         c.yaml:3:26: exporters.sender.mdoe: unknown key `mdoe`; did you mean `mode`?"
    );
}

#[test]
fn a_far_key_gets_the_choice() {
    let text = with_exporter("uri: a://b, sending_queue: {}");
    assert_eq!(
        said(&text),
        "c.yaml:3:24: exporters.sender.sending_queue: unknown key `sending_queue`; \
         known are `uri`, `mode`, `headers`, `from`, `timeout` and `pause`"
    );
}

#[test]
fn numbers_have_their_range() {
    let text = format!(
        "receivers: {{listener: {{limit: 70000}}}}\nexporters: {{sender: {{uri: 'a://b'}}}}\n{SERVICE}"
    );
    assert_eq!(said(&text), "c.yaml:1:31: receivers.listener.limit: must be from 0 to 65535");
}

#[test]
fn enumeration_values_may_be_written_in_capitals() {
    assert_eq!(said(&with_exporter("uri: a://b, mode: STRICT")), "");
}

#[test]
fn an_empty_protocol_is_switched_on_and_a_missing_one_is_off() {
    let text = format!(
        "receivers:\n  listener:\n    protocols:\n      grpc:\nexporters: {{sender: {{uri: 'a://b'}}}}\n{SERVICE}"
    );
    let loaded = World::default().load_text(&text).unwrap();
    let listener: Listener =
        loaded.config.component(ComponentKind::Receiver, "listener").unwrap().settings().unwrap();
    assert!(listener.protocols.grpc.is_some());
    assert!(listener.protocols.http.is_none());
}
