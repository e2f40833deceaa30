use super::*;
use crate::otlp::decode_json;
use crate::pipeline::ack_channel;

/// A place to write to that can be read afterwards.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn written(verbosity: Verbosity) -> String {
    let body = decode_json(include_bytes!("../../../tests/data/otlp/json-body-1.json")).unwrap().request;
    let request = Arc::new(TraceRequest { body, ..TraceRequest::default() });
    let page = Page::default();
    let id = ComponentId::parse("debug/test");
    let config = DebugExporterConfig { verbosity, ..DebugExporterConfig::default() };
    let exporter = DebugExporter::writing_to(Box::new(page.clone()), id, &config, &Telemetry::default());
    let (ack, delivery) = ack_channel();
    exporter.export(request, ack).await;
    assert_eq!(delivery.await, Ok(Delivered::default()));
    let bytes = page.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn basic_counts() {
    let line = "Traces\t{\"exporter\": \"debug/test\", \"resource spans\": 1, \"spans\": 2}\n";
    assert_eq!(written(Verbosity::Basic).await, line);
}

#[tokio::test]
async fn normal_has_a_line_per_span() {
    insta::assert_snapshot!(written(Verbosity::Normal).await);
}

#[tokio::test]
async fn detailed_has_every_field() {
    insta::assert_snapshot!(written(Verbosity::Detailed).await);
}
