//! `opentelemetry/proto/common/v1/common.proto` and `resource/v1/resource.proto`.

/// An attribute value of any type; `None` is a value that is present but empty.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AnyValue {
    /// The value, if one is set.
    #[prost(oneof = "any_value::Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<any_value::Value>,
}

/// The variants of [`AnyValue`].
pub mod any_value {
    /// One value of one of the OTLP types.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Value {
        /// A text.
        #[prost(string, tag = "1")]
        String(String),
        /// A boolean.
        #[prost(bool, tag = "2")]
        Bool(bool),
        /// A signed 64-bit integer.
        #[prost(int64, tag = "3")]
        Int(i64),
        /// A 64-bit floating point number.
        #[prost(double, tag = "4")]
        Double(f64),
        /// A list of values.
        #[prost(message, tag = "5")]
        Array(super::ArrayValue),
        /// A map, as a list of pairs; keys may repeat on the wire.
        #[prost(message, tag = "6")]
        Kvlist(super::KeyValueList),
        /// Opaque bytes.
        #[prost(bytes = "vec", tag = "7")]
        Bytes(Vec<u8>),
    }
}

/// A list of [`AnyValue`]s.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ArrayValue {
    /// The elements, in order.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

/// A list of [`KeyValue`] pairs used as a map.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KeyValueList {
    /// The pairs, in order.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// An attribute: a key and its value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KeyValue {
    /// The attribute's name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The attribute's value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// The library that made the spans of a [`super::ScopeSpans`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct InstrumentationScope {
    /// The library's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The library's version.
    #[prost(string, tag = "2")]
    pub version: String,
    /// Attributes of the scope.
    #[prost(message, repeated, tag = "3")]
    pub attributes: Vec<KeyValue>,
    /// How many attributes the SDK discarded.
    #[prost(uint32, tag = "4")]
    pub dropped_attributes_count: u32,
}

/// The entity that made the telemetry, such as a service instance.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Resource {
    /// Attributes of the resource.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
    /// How many attributes the SDK discarded.
    #[prost(uint32, tag = "2")]
    pub dropped_attributes_count: u32,
}
