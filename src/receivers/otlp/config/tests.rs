//! Tests of the settings of the receiver.

use serde_json::json;

use super::*;

fn read(settings: serde_json::Value) -> Result<OtlpReceiverConfig, serde_json::Error> {
    serde_json::from_value(settings)
}

#[test]
fn nothing_means_both_protocols_on_loopback() {
    let config = read(json!({})).unwrap();
    assert_eq!(config, OtlpReceiverConfig::default());
    assert_eq!(config.validate(), []);
    let endpoints = config.endpoints().into_iter().map(|(_, endpoint)| endpoint);
    assert_eq!(endpoints.collect::<Vec<_>>(), ["127.0.0.1:4317", "127.0.0.1:4318"]);
}

#[test]
fn a_protocol_that_is_named_without_settings_is_on_and_one_that_is_not_named_is_off() {
    let config = read(json!({"protocols": {"http": null}})).unwrap();
    assert_eq!(config.protocols, Protocols { grpc: None, http: Some(HttpConfig::default()) });
    assert_eq!(read(json!({"protocols": {}})).unwrap().validate()[0].0, "protocols");
}

#[test]
fn unknown_keys_are_errors() {
    assert!(read(json!({"protocols": {"grcp": {}}})).is_err());
    assert!(read(json!({"protocols": {"http": {"endpont": "x"}}})).is_err());
}

#[test]
fn an_address_for_everybody_needs_tls_or_auth_or_the_word() {
    let tls = json!({"cert_file": "c", "key_file": "k"});
    let auth = json!({"bearertokenauth": {"token": "t"}});
    for (protocol, settings) in
        [("grpc", json!({"endpoint": ":4317"})), ("http", json!({"endpoint": "0.0.0.0:1"}))]
    {
        let mut bare = json!({"protocols": {}});
        bare["protocols"][protocol] = settings;
        let problems = read(bare.clone()).unwrap().validate();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].0, format!("protocols.{protocol}.endpoint"));
        for (key, value) in [("tls", &tls), ("auth", &auth), ("insecure", &json!(true))] {
            let mut safe = bare.clone();
            safe["protocols"][protocol][key] = value.clone();
            assert_eq!(read(safe).unwrap().validate(), [], "{key}");
        }
    }
}

#[test]
fn every_problem_is_named_with_its_key() {
    let config = read(json!({
        "protocols": {
            "grpc": {"endpoint": "nowhere", "max_recv_msg_size_mib": 0, "read_timeout": "0s"},
            "http": {"endpoint": "a:b", "traces_url_path": "v1", "max_request_body_size": "200MiB", "auth": {}},
        },
        "max_connections": 0,
    }))
    .unwrap();
    let keys: Vec<_> = config.validate().into_iter().map(|(key, _)| key).collect();
    assert_eq!(
        keys,
        [
            "max_connections",
            "protocols.grpc.endpoint",
            "protocols.grpc.max_recv_msg_size_mib",
            "protocols.grpc.read_timeout",
            "protocols.http.endpoint",
            "protocols.http.traces_url_path",
            "max_bytes_in_flight",
            "protocols.http.auth",
        ]
    );
}
