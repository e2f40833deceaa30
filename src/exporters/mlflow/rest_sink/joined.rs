//! Several requests as one.

use std::vec::IntoIter;

use crate::exporters::mlflow::rest::{Payload, PreparedRequest, Shipment};
use crate::otlp::model::{ExportTraceServiceRequest, ResourceSpans};
use crate::store::rest::RunLink;

/// The spans of several requests, one shipment for each destination. They are moved out of the requests, and can be
/// given back.
pub(super) struct Joined {
    pub(super) shipments: Vec<Shipment>,
    /// What each shipment of the requests gave, in their order.
    shares: Vec<Share>,
}

struct Share {
    /// Place of the joined shipment that took it.
    place: usize,
    groups: usize,
    links: usize,
}

impl Joined {
    /// Joins requests; none if there is nothing to join, or if they are no OTLP.
    pub(super) fn of(items: &mut [PreparedRequest]) -> Option<Self> {
        if items.len() < 2 || items.iter().any(|item| item.payload.shipments().is_none()) {
            return None;
        }
        let mut joined = Self { shipments: Vec::new(), shares: Vec::new() };
        for shipment in items.iter_mut().flat_map(shipments) {
            joined.take(shipment);
        }
        Some(joined)
    }

    fn take(&mut self, from: &mut Shipment) {
        let groups = std::mem::take(&mut from.body.resource_spans);
        let links = std::mem::take(&mut from.links);
        let known = self.shipments.iter().position(|known| known.destination == from.destination);
        let place = known.unwrap_or(self.shipments.len());
        self.shares.push(Share { place, groups: groups.len(), links: links.len() });
        match self.shipments.get_mut(place) {
            Some(known) => {
                known.body.resource_spans.extend(groups);
                known.links.extend(links);
            }
            None => self.shipments.push(Shipment {
                destination: from.destination.clone(),
                body: ExportTraceServiceRequest { resource_spans: groups },
                links,
            }),
        }
    }

    /// Gives each of the same requests its own.
    pub(super) fn give_back(self, items: &mut [PreparedRequest]) {
        let parts =
            |shipment: Shipment| (shipment.body.resource_spans.into_iter(), shipment.links.into_iter());
        let mut left: Vec<(IntoIter<ResourceSpans>, IntoIter<RunLink>)> =
            self.shipments.into_iter().map(parts).collect();
        for (shipment, share) in items.iter_mut().flat_map(shipments).zip(self.shares) {
            if let Some((groups, links)) = left.get_mut(share.place) {
                shipment.body.resource_spans = groups.by_ref().take(share.groups).collect();
                shipment.links = links.by_ref().take(share.links).collect();
            }
        }
    }
}

fn shipments(item: &mut PreparedRequest) -> &mut [Shipment] {
    match &mut item.payload {
        Payload::Otlp(shipments) => shipments,
        Payload::Mapped { .. } => &mut [],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporters::mlflow::batcher::Weight;
    use crate::exporters::mlflow::runs::FollowUp;
    use crate::store::rest::Destination;
    use crate::telemetry::Telemetry;

    /// For each experiment, a shipment of some groups and a link.
    fn request(shipments: &[(i64, &[&str])]) -> PreparedRequest {
        let shipment = |(experiment_id, urls): &(i64, &[&str])| Shipment {
            destination: Destination { experiment_id: *experiment_id, workspace: None },
            body: ExportTraceServiceRequest {
                resource_spans: urls
                    .iter()
                    .map(|url| ResourceSpans { schema_url: (*url).to_owned(), ..ResourceSpans::default() })
                    .collect(),
            },
            links: vec![RunLink { trace_id: urls.concat(), run_id: experiment_id.to_string() }],
        };
        PreparedRequest {
            payload: Payload::Otlp(shipments.iter().map(shipment).collect()),
            refusals: Vec::new(),
            follow_up: FollowUp::default(),
            weight: Weight { spans: 1, bytes: 1 },
            _in_flight: Telemetry::default().metrics.exporter("mlflow").in_flight(1),
        }
    }

    #[test]
    fn each_gets_back_what_it_gave() {
        let sent = || {
            [
                request(&[(1, &["a", "b"]), (2, &["c"])]),
                request(&[(2, &["d"]), (3, &[])]),
                request(&[(1, &["e"])]),
            ]
        };
        let mut items = sent();
        let joined = Joined::of(&mut items).unwrap();
        let urls = |shipment: &Shipment| {
            let urls = shipment.body.resource_spans.iter().map(|group| group.schema_url.as_str());
            (shipment.destination.experiment_id, urls.collect::<String>(), shipment.links.len())
        };
        let together: Vec<_> = joined.shipments.iter().map(urls).collect();
        assert_eq!(together, [(1, "abe".to_owned(), 2), (2, "cd".to_owned(), 2), (3, String::new(), 1)]);
        joined.give_back(&mut items);
        for (item, sent) in items.iter().zip(&sent()) {
            assert_eq!(item.payload.shipments(), sent.payload.shipments());
        }
    }
}
