//! Cutting a request into smaller ones that say the same.

mod encode;

use std::collections::{HashMap, HashSet};

use prost::Message;

pub use self::encode::{encode, encoded_len};
use super::model::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};

/// Bytes that protobuf may need around a message for its tag and its length.
const FRAME_BYTES: usize = 12;

/// One span, and where it stands in its request.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    resource: &'a ResourceSpans,
    scope: &'a ScopeSpans,
    /// The span.
    pub span: &'a Span,
    order: usize,
}

/// Some spans of a request, in its order.
pub type Piece<'a> = Vec<Place<'a>>;

/// All spans of a request.
pub fn places(request: &ExportTraceServiceRequest) -> Piece<'_> {
    let scopes = request
        .resource_spans
        .iter()
        .flat_map(|resource| resource.scope_spans.iter().map(move |scope| (resource, scope)));
    let spans =
        scopes.flat_map(|(resource, scope)| scope.spans.iter().map(move |span| (resource, scope, span)));
    spans.enumerate().map(|(order, (resource, scope, span))| Place { resource, scope, span, order }).collect()
}

/// A request of these spans alone, each with its own resource and scope.
pub fn request(piece: &[Place<'_>]) -> ExportTraceServiceRequest {
    let resource_spans = by_resource(piece).map(|(of, places)| ResourceSpans {
        resource: of.resource.clone(),
        scope_spans: by_scope(places).map(scope_spans).collect(),
        schema_url: of.schema_url.clone(),
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

fn scope_spans((of, places): (&ScopeSpans, &[Place<'_>])) -> ScopeSpans {
    ScopeSpans {
        scope: of.scope.clone(),
        spans: places.iter().map(|place| place.span.clone()).collect(),
        schema_url: of.schema_url.clone(),
    }
}

/// Neighbours of the same resource, with that.
fn by_resource<'p, 'a>(piece: &'p [Place<'a>]) -> impl Iterator<Item = (&'a ResourceSpans, &'p [Place<'a>])> {
    let groups = piece.chunk_by(|one, next| std::ptr::eq(one.resource, next.resource));
    groups.filter_map(|places| Some((places.first()?.resource, places)))
}

/// Neighbours of the same scope, with that.
fn by_scope<'p, 'a>(piece: &'p [Place<'a>]) -> impl Iterator<Item = (&'a ScopeSpans, &'p [Place<'a>])> {
    let groups = piece.chunk_by(|one, next| std::ptr::eq(one.scope, next.scope));
    groups.filter_map(|places| Some((places.first()?.scope, places)))
}

/// The spans by trace, in the order in which the traces begin.
pub fn by_trace<'a>(piece: &[Place<'a>]) -> Vec<Piece<'a>> {
    let mut index: HashMap<&[u8], usize> = HashMap::new();
    let mut traces: Vec<Piece<'a>> = Vec::new();
    for place in piece {
        let at = *index.entry(&place.span.trace_id).or_insert(traces.len());
        match traces.get_mut(at) {
            Some(trace) => trace.push(*place),
            None => traces.push(vec![*place]),
        }
    }
    traces
}

/// Cuts a piece in two: between traces if it has several, else between spans. A single span stays.
pub fn halve<'a>(piece: &[Place<'a>]) -> Option<(Piece<'a>, Piece<'a>)> {
    let traces = by_trace(piece);
    let units = if traces.len() > 1 { traces } else { piece.iter().map(|place| vec![*place]).collect() };
    if units.len() < 2 {
        return None;
    }
    let (left, right) = units.split_at_checked(units.len().div_ceil(2))?;
    Some((in_order(left.concat()), in_order(right.concat())))
}

/// Cuts a request into pieces that encode to at most `max_bytes`, but for a single span that is
/// larger. A trace is cut only where it alone is too large; its pieces follow one another in one
/// list, and the lists can be sent in any order.
pub fn pack<'a>(piece: &[Place<'a>], max_bytes: usize) -> Vec<Vec<Piece<'a>>> {
    let mut packed = Vec::new();
    let mut open = Filling::default();
    for trace in by_trace(piece) {
        let alone = fill(&trace, max_bytes);
        if alone.len() > 1 {
            packed.push(alone);
            continue;
        }
        if !open.is_empty() && open.bytes_with(&trace) > max_bytes {
            packed.push(vec![std::mem::take(&mut open).close()]);
        }
        open.add(&trace);
    }
    if !open.is_empty() {
        packed.push(vec![open.close()]);
    }
    packed
}

/// Cuts one trace between its spans.
fn fill<'a>(trace: &[Place<'a>], max_bytes: usize) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut open = Filling::default();
    for place in trace {
        let one = std::slice::from_ref(place);
        if !open.is_empty() && open.bytes_with(one) > max_bytes {
            pieces.push(std::mem::take(&mut open).close());
        }
        open.add(one);
    }
    pieces.push(open.close());
    pieces
}

/// A piece being filled, with an upper bound of its encoded size.
#[derive(Default)]
struct Filling<'a> {
    piece: Piece<'a>,
    bytes: usize,
    scopes: HashSet<*const ScopeSpans>,
}

impl<'a> Filling<'a> {
    fn is_empty(&self) -> bool {
        self.piece.is_empty()
    }

    fn bytes_with(&self, places: &[Place<'a>]) -> usize {
        let mut fresh = HashSet::new();
        let added: usize = places
            .iter()
            .map(|place| {
                let scope = std::ptr::from_ref(place.scope);
                let first = !self.scopes.contains(&scope) && fresh.insert(scope);
                place.span.encoded_len() + FRAME_BYTES + if first { surroundings(place) } else { 0 }
            })
            .sum();
        self.bytes + added
    }

    fn add(&mut self, places: &[Place<'a>]) {
        self.bytes = self.bytes_with(places);
        self.scopes.extend(places.iter().map(|place| std::ptr::from_ref(place.scope)));
        self.piece.extend_from_slice(places);
    }

    fn close(self) -> Piece<'a> {
        in_order(self.piece)
    }
}

/// What a span's resource and scope take.
fn surroundings(place: &Place<'_>) -> usize {
    let resource = place.resource.resource.as_ref().map_or(0, Message::encoded_len);
    let scope = place.scope.scope.as_ref().map_or(0, Message::encoded_len);
    resource + scope + place.resource.schema_url.len() + place.scope.schema_url.len() + 6 * FRAME_BYTES
}

fn in_order(mut piece: Piece<'_>) -> Piece<'_> {
    piece.sort_by_key(|place| place.order);
    piece
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::otlp::model::{InstrumentationScope, Resource};

    /// A request with one resource per row, one scope per inner row, and (trace, name length) spans.
    fn sample(rows: &[Vec<Vec<(u8, usize)>>]) -> ExportTraceServiceRequest {
        let mut id = 0_u64;
        let mut span = |(trace, length): &(u8, usize)| {
            id += 1;
            Span {
                trace_id: vec![*trace; 16],
                span_id: id.to_be_bytes().to_vec(),
                name: "n".repeat(*length),
                ..Span::default()
            }
        };
        // What may be absent is, now and then, and lengths take one byte or two.
        let mut scope = |(number, spans): (usize, &Vec<(u8, usize)>)| ScopeSpans {
            spans: spans.iter().map(&mut span).collect(),
            scope: (number % 2 == 1)
                .then(|| InstrumentationScope { name: "s".repeat(40 * number), ..Default::default() }),
            schema_url: "scope".repeat(number % 3),
        };
        let resource_spans = rows
            .iter()
            .enumerate()
            .map(|(number, scopes)| ResourceSpans {
                resource: (number % 2 == 0)
                    .then(|| Resource { dropped_attributes_count: 1, ..Resource::default() }),
                scope_spans: scopes.iter().enumerate().map(&mut scope).collect(),
                schema_url: "resource".repeat(number % 3),
            })
            .collect();
        ExportTraceServiceRequest { resource_spans }
    }

    fn ids(piece: &[Place<'_>]) -> Vec<Vec<u8>> {
        piece.iter().map(|place| place.span.span_id.clone()).collect()
    }

    #[test]
    fn a_whole_request_is_built_as_it_was() {
        let whole = sample(&[vec![vec![(1, 3), (2, 3)], vec![(1, 4)]], vec![vec![(3, 1)]]]);
        assert_eq!(request(&places(&whole)), whole);
        assert_eq!(encode(&places(&whole)), whole.encode_to_vec());
    }

    #[test]
    fn halves_part_traces_before_they_part_spans() {
        let whole = sample(&[vec![vec![(1, 1), (2, 1), (1, 1), (2, 1), (3, 1)]]]);
        let (left, right) = halve(&places(&whole)).unwrap();
        assert_eq!(by_trace(&left).len(), 2);
        assert_eq!(by_trace(&right).len(), 1);
        assert!(halve(&right).is_none());
        let (one, two) = halve(&left).unwrap();
        assert_eq!((by_trace(&one).len(), by_trace(&two).len()), (1, 1));
        assert_eq!(halve(&one).map(|(left, right)| (left.len(), right.len())), Some((1, 1)));
    }

    #[test]
    fn a_trace_is_cut_only_where_it_alone_is_too_large() {
        let whole = sample(&[vec![vec![(1, 100), (2, 900), (1, 100), (2, 900), (3, 100)]]]);
        let packed = pack(&places(&whole), 1_200);
        let shape: Vec<_> = packed
            .iter()
            .map(|list| list.iter().map(|piece| by_trace(piece).len()).collect::<Vec<_>>())
            .collect();
        assert_eq!(shape, [vec![1, 1], vec![2]]);
    }

    proptest! {
        #[test]
        fn pieces_hold_every_span_once_and_keep_the_limit(
            rows in proptest::collection::vec(
                proptest::collection::vec(proptest::collection::vec((0_u8..6, 0_usize..300), 0..6), 0..5), 0..4),
            max_bytes in 200_usize..2_000,
        ) {
            let whole = sample(&rows);
            let all = places(&whole);
            let packed = pack(&all, max_bytes);
            let mut seen: Vec<_> = packed.iter().flatten().flat_map(|piece| ids(piece)).collect();
            seen.sort();
            prop_assert_eq!(seen, ids(&all));
            for piece in packed.iter().flatten() {
                prop_assert!(piece.len() == 1 || encoded_len(piece) <= max_bytes);
                prop_assert_eq!(encode(piece), request(piece).encode_to_vec());
                prop_assert!(piece.is_sorted_by_key(|place| place.order));
            }
        }
    }
}
