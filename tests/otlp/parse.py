"""Reads OTLP requests in JSON, one a line, with OpenTelemetry's own definitions (PyPI: opentelemetry-proto).

Fails if a field is unknown, has another type, or is missing. `make test-otlp` gives it what a store sent.
"""

import base64
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

IDS = ("traceId", "spanId", "parentSpanId")


def with_bytes(value):
    """Ids are hexadecimal in OTLP, where JSON of protobuf has base64. Everything else is the same."""
    if isinstance(value, list):
        return [with_bytes(each) for each in value]
    if isinstance(value, dict):
        return {
            name: base64.b64encode(bytes.fromhex(each)).decode() if name in IDS else with_bytes(each)
            for name, each in value.items()
        }
    return value


spans = []
for line in sys.stdin:
    request = json_format.ParseDict(with_bytes(json.loads(line)), ExportTraceServiceRequest())
    for resource in request.resource_spans:
        names = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
        assert names["service.name"] and names["service.namespace"] == "toystore", names
        spans.extend(span for scope in resource.scope_spans for span in scope.spans)

assert spans, "no spans"
for span in spans:
    assert len(span.trace_id) == 16 and len(span.span_id) == 8, span
    assert len(span.parent_span_id) in (0, 8), span
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano, span
    assert span.kind != Span.SPAN_KIND_UNSPECIFIED, span
    assert all(attribute.value.WhichOneof("value") for attribute in span.attributes), span
served = {span.name for span in spans if span.kind == Span.SPAN_KIND_SERVER}
assert {"POST /orders", "buy", "purchase", "append", "durable"} <= served, served
print(f"{len(spans)} spans are as OpenTelemetry defines them")
