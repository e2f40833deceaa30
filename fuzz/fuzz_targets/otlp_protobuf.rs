//! Any bytes as an OTLP body in protobuf: no panic, and what is kept can be decoded again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_mlflow::otlp::decode_protobuf;
use prost::Message as _;

fuzz_target!(|body: &[u8]| {
    if let Ok(decoded) = decode_protobuf(body) {
        let again = decode_protobuf(&decoded.request.encode_to_vec()).expect("a kept request is well-formed");
        assert!(again.refusals.is_empty(), "{:?}", again.refusals);
    }
});
