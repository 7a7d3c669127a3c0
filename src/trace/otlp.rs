//! Spans as OTLP, the protocol of OpenTelemetry, in its JSON form. Pure. Called by [`export`](super::export).
//!
//! Names follow OpenTelemetry's semantic conventions for HTTP and RPC. Ids are hexadecimal and times are texts, as OTLP
//! wants them in JSON.

use super::span::{Kind, Span};
use serde_json::{Value, json};

/// The path of a collector that takes this.
pub const PATH: &str = "/v1/traces";

/// `rpc.system.name` of the frames.
const RPC_SYSTEM: &str = "toystore";

/// An `ExportTraceServiceRequest` with the spans of a service.
pub fn request(service: &str, spans: &[Span]) -> Value {
    let (name, instance) = service.split_once(' ').unwrap_or((service, "1"));
    let resource = [
        ("service.namespace", "toystore"),
        ("service.name", name),
        ("service.instance.id", instance),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let resource: Vec<Value> = resource.iter().map(|(name, value)| text(name, value)).collect();
    let spans: Vec<Value> = spans.iter().map(|each| span(name, each)).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{
            "scope": { "name": "toystore", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans,
        }],
    }] })
}

fn span(service: &str, span: &Span) -> Value {
    let is_http = span.notes.iter().any(|(name, _)| name.starts_with("http."));
    let mut attributes: Vec<Value> = span.notes.iter().flat_map(attributes).collect();
    match span.kind {
        Kind::Request if is_http => {
            attributes
                .extend(span.name.split_once(' ').map(|(_, route)| text("http.route", route)));
        }
        Kind::Request => attributes.extend([
            text("rpc.system.name", RPC_SYSTEM),
            text("rpc.method", &format!("{service}/{}", span.name)),
        ]),
        Kind::Call => {
            attributes
                .extend([text("rpc.system.name", RPC_SYSTEM), text("rpc.method", &span.name)]);
        }
        _ => {}
    }
    // SPAN_KIND_INTERNAL, SPAN_KIND_SERVER, SPAN_KIND_CLIENT.
    let kind = match span.kind {
        Kind::Request => 2,
        Kind::Call => 3,
        _ => 1,
    };
    let mut encoded = json!({
        "traceId": span.trace, "spanId": span.id, "name": span.name, "kind": kind,
        "startTimeUnixNano": span.start.to_string(), "endTimeUnixNano": span.end.to_string(),
        "attributes": attributes,
    });
    if let Some(parent) = span.parent {
        encoded["parentSpanId"] = json!(parent);
    }
    if let Some(error) = &span.error {
        // STATUS_CODE_ERROR.
        encoded["status"] = json!({ "code": 2, "message": error });
        let kind = if is_http { error.as_str() } else { "_OTHER" };
        encoded["attributes"]
            .as_array_mut()
            .into_iter()
            .for_each(|all| all.push(text("error.type", kind)));
    }
    encoded
}

/// A note as attributes: an address is two of them, and a status is a number.
fn attributes((name, value): &(std::borrow::Cow<'static, str>, String)) -> Vec<Value> {
    match (&**name, value.rsplit_once(':')) {
        ("server.address", Some((host, port))) => {
            vec![text(name, host), number("server.port", port)]
        }
        ("http.response.status_code", _) => vec![number(name, value)],
        (name, _) if name.contains('.') => vec![text(name, value)],
        (name, _) => vec![text(&format!("toystore.{name}"), value)],
    }
}

fn text(name: &str, value: &str) -> Value {
    json!({ "key": name, "value": { "stringValue": value } })
}

fn number(name: &str, value: &str) -> Value {
    json!({ "key": name, "value": { "intValue": value } })
}
