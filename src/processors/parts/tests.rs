use std::sync::Mutex;

use futures_util::future::BoxFuture;

use super::super::acks::split;
use super::super::testing::{Recorder, request_of, span, spans};
use super::*;
use crate::otlp::Refusal;
use crate::pipeline::{Ack, ComponentId, Delivery, MemoryAccount};

fn part(request: TraceRequest) -> (Part, DeliveryFuture) {
    let (ack, delivery) = ack_channel();
    let share = split(ack, &[request.span_count()]).pop().unwrap();
    (Part { request: Arc::new(request), share }, delivery)
}

fn encoded(ids: &[u8]) -> TraceRequest {
    let mut request = request_of(ids.iter().map(|id| span(1, *id, "chat")).collect());
    request.encoded = Some(request.body.encode_to_vec().into());
    request
}

#[tokio::test]
async fn parts_of_one_kind_are_one_request_and_others_are_not() {
    let next = Recorder::new();
    let outlet = Outlet::new(Arc::clone(&next) as Arc<dyn TraceExporter>);
    let account = MemoryAccount::default();
    let mut first = encoded(&[1]);
    first.held = account.hold(100);
    let mut second = encoded(&[2, 3]);
    second.held = account.hold(50);
    let mut other = encoded(&[4]);
    other.metadata.experiment_id = Some("7".into());
    let (parts, deliveries): (Vec<_>, Vec<_>) = [first, other, second].map(part).into_iter().unzip();
    outlet.send(parts).await;
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    outlet.shutdown().await;
    assert_eq!(next.span_ids(), [vec![1, 2, 3], vec![4]]);
    let joined = &next.taken()[0];
    let decoded = ExportTraceServiceRequest::decode(joined.encoded.clone().unwrap()).unwrap();
    assert_eq!(decoded, joined.body);
    assert_eq!(account.used(), 150);
    next.forget();
    assert!(*next.stopped.lock().unwrap());
}

/// A next stage that is a function.
struct By<F>(ComponentId, F);

impl<F: Fn(Arc<TraceRequest>, Ack) + Send + Sync + 'static> By<F> {
    fn outlet(take: F) -> Outlet {
        Outlet::new(Arc::new(Self(ComponentId::parse("next"), take)))
    }
}

impl<F: Fn(Arc<TraceRequest>, Ack) + Send + Sync + 'static> TraceExporter for By<F> {
    fn id(&self) -> &ComponentId {
        &self.0
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(async { (self.1)(request, ack) })
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

async fn answers(outlet: &Outlet, requests: Vec<TraceRequest>) -> Vec<Delivery> {
    let (parts, deliveries): (Vec<_>, Vec<_>) = requests.into_iter().map(part).unzip();
    outlet.send(parts).await;
    let mut answers = Vec::new();
    for delivery in deliveries {
        answers.push(delivery.await);
    }
    answers
}

/// Scenario: a joined request is rejected, and what is sent alone is answered when all of it is there, as where
/// the parts of a trace are gathered.
/// Guarantees: no part waits for the answer to another; each counts its memory, and is what it was.
#[tokio::test]
async fn parts_that_are_sent_again_alone_do_not_wait_for_one_another() {
    let (account, taken) = (MemoryAccount::default(), Arc::new(Mutex::new(Vec::new())));
    let outlet = By::outlet({
        let taken = Arc::clone(&taken);
        move |request, ack| {
            if request.span_count() == 3 {
                return ack.complete(Err(ExportError::reject("too mixed")));
            }
            let mut taken = taken.lock().unwrap();
            taken.push((request, ack));
            if taken.len() == 3 {
                let sizes = taken.iter().map(|(request, _)| request.held.bytes());
                assert!(sizes.min() > Some(0));
                taken.drain(..).for_each(|(request, ack)| {
                    let spans = ExportTraceServiceRequest::decode(request.encoded.clone().unwrap());
                    assert_eq!(spans.unwrap(), request.body);
                    ack.complete(Ok(Delivered::default()));
                });
            }
        }
    });
    let counted = |id| {
        let request = encoded(&[id]);
        TraceRequest { held: account.hold(footprint(&request.body)), ..request }
    };
    let answers = answers(&outlet, [1, 2, 3].map(counted).into()).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(account.used(), 0);
}

/// Scenario: what comes after a batch panics over one of its requests.
/// Guarantees: that one is rejected, and the others are delivered.
#[tokio::test]
async fn a_panic_of_the_next_stage_is_the_answer_to_its_request() {
    let outlet = By::outlet(|request, ack| {
        assert!(spans(&request.body).iter().all(|span| span.name != "bad"), "on purpose");
        ack.complete(Ok(Delivered::default()));
    });
    let answers = answers(&outlet, vec![encoded(&[1]), request_of(vec![span(1, 9, "bad")])]).await;
    assert_eq!(answers[0], Ok(Delivered::default()));
    assert!(matches!(answers[1], Err(ExportError::Reject { .. })), "{answers:?}");
}

/// Scenario: a request with fields that this program does not know is joined with one that was changed.
/// Guarantees: they are passed on.
#[tokio::test]
async fn unknown_fields_survive_beside_a_request_that_was_changed() {
    let next = Recorder::new();
    let outlet = Outlet::new(Arc::clone(&next) as Arc<dyn TraceExporter>);
    let mut known = encoded(&[1]);
    // The field 1000, a varint of the value 1.
    let unknown = [0xc0, 0x3e, 0x01];
    known.encoded = Some([known.encoded.unwrap().as_ref(), &unknown].concat().into());
    let changed = request_of(vec![span(1, 2, "changed")]);
    for order in [vec![known.clone(), changed.clone()], vec![changed, known]] {
        assert!(answers(&outlet, order).await.iter().all(Result::is_ok));
        let joined = next.taken().pop().unwrap();
        let bytes = joined.encoded.clone().unwrap();
        assert!(bytes.windows(3).any(|window| window == unknown));
        assert_eq!(ExportTraceServiceRequest::decode(bytes).unwrap(), joined.body);
    }
}

/// Scenario: one of three parts can never be stored.
/// Guarantees: only its own sender hears of it, whether the destination refuses it alone or
/// rejects all that came with it.
#[tokio::test]
async fn one_bad_part_does_not_spoil_the_others() {
    for rejects in [true, false] {
        let next = Recorder::new();
        next.judge_by(move |request| {
            let is_bad = spans(&request.body).iter().any(|span| span.name == "bad");
            match (is_bad, rejects) {
                (false, _) => Ok(Delivered::default()),
                (true, true) => Err(ExportError::reject("bad")),
                (true, false) => Ok(Delivered { refusals: vec![Refusal { spans: 1, reason: "bad".into() }] }),
            }
        });
        let outlet = Outlet::new(Arc::clone(&next) as Arc<dyn TraceExporter>);
        let bad = request_of(vec![span(1, 9, "bad")]);
        let (parts, deliveries): (Vec<_>, Vec<_>) =
            [encoded(&[1]), bad, encoded(&[2])].map(part).into_iter().unzip();
        outlet.send(parts).await;
        let mut answers = Vec::new();
        for delivery in deliveries {
            answers.push(delivery.await);
        }
        assert_eq!(answers[0], Ok(Delivered::default()));
        assert_eq!(answers[2], Ok(Delivered::default()));
        match &answers[1] {
            Ok(delivered) => assert_eq!((delivered.refused_spans(), rejects), (1, false)),
            Err(error) => assert_eq!((error, rejects), (&ExportError::reject("bad"), true)),
        }
    }
}
