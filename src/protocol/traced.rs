//! What frames carry for sampled requests; frames for others have nothing more. Used by the readers and writers of all
//! messages, which do not know of it.
//!
//! A request has the field `traces` at its beginning: the contexts of the requests that it is done for. Its answer has the
//! field `took` at its end. A service that knows neither ignores the first, and then does not send the second.

use crate::trace::context::Context;
use crate::trace::scope::{Scope, Step};
use crate::trace::timing::Took;
use crate::trace::{Kind, Recorder};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// How a request with contexts begins.
const TRACES: &[u8] = b"{\"traces\":";
/// How the end of an answer begins.
const TOOK: &[u8] = b",\"took\":";
/// What comes before the name of the method in every request.
const METHOD: &[u8] = b"\"method_name\":\"";

#[derive(Deserialize)]
struct Traces {
    traces: Vec<Context>,
}

/// Begins to answer a frame with this payload, which waited for a thread since `queued`, if it came for sampled requests.
/// Malformed contexts are ignored.
pub fn answering(
    payload: &[u8],
    queued: Option<Instant>,
    recorder: &Arc<Recorder>,
) -> Option<Step> {
    if !payload.starts_with(TRACES) {
        return None;
    }
    let Traces { traces } = serde_json::from_slice(payload).ok()?;
    let scope = Scope::new(recorder.clone(), traces);
    if let Some(queued) = queued {
        scope.record("wait for a thread", Kind::Wait, queued, &[]);
    }
    Some(scope.answer(method(payload)))
}

/// The name of the method of a request.
pub(super) fn method(payload: &[u8]) -> Cow<'static, str> {
    let name = find(payload, METHOD).map(|at| &payload[at + METHOD.len()..]);
    let name = name.and_then(|rest| rest.split(|byte| *byte == b'"').next()).unwrap_or_default();
    String::from_utf8_lossy(name).into_owned().into()
}

/// A request with these contexts.
pub(super) fn with_contexts(payload: Vec<u8>, contexts: &[Context]) -> Vec<u8> {
    if contexts.is_empty() || !payload.starts_with(b"{") {
        return payload;
    }
    let mut traced = TRACES.to_vec();
    serde_json::to_writer(&mut traced, contexts).expect("a Vec takes every write");
    traced.push(b',');
    traced.extend_from_slice(&payload[1..]);
    traced
}

/// Adds the times to an answer.
pub(super) fn add_took(answer: &mut Vec<u8>, took: Took) {
    if answer.pop() == Some(b'}') {
        answer.extend_from_slice(TOOK);
        serde_json::to_writer(&mut *answer, &took).expect("a Vec takes every write");
        answer.push(b'}');
    }
}

/// Takes the times from the answer to a call, if it was made for sampled requests.
pub(super) fn take_took(answer: &mut Vec<u8>, call: &Step) -> Option<Took> {
    if call.contexts().is_empty() {
        return None;
    }
    // The field is the last one, and short.
    let from = answer.len().saturating_sub(200);
    let at = from + find(&answer[from..], TOOK)?;
    let took = serde_json::from_slice(&answer[at + TOOK.len()..answer.len() - 1]).ok()?;
    answer.truncate(at);
    answer.push(b'}');
    Some(took)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::catalog::Request;
    use crate::protocol::{Answer, question};
    use crate::trace::{Traced, scope};
    use std::thread;
    use std::time::Duration;

    /// Services that know of traces and services that do not understand each other.
    #[test]
    fn a_frame_with_contexts_is_the_same_request_for_everybody() {
        let recorder = Recorder::new("catalog", 1.0);
        let plain = br#"{"method_name":"query","name":"Tux"}"#.to_vec();
        assert_eq!(with_contexts(plain.clone(), &[]), plain, "nothing more for those not sampled");
        let traced = Traced::background(&recorder, "a test", Instant::now());
        let entered = traced.scope().enter();
        let call = scope::call(|| method(&plain));
        let payload = with_contexts(plain.clone(), call.contexts());
        drop(entered);
        let asked = |payload: &[u8]| question::<Request>(payload).expect("a request");
        assert_eq!(asked(&payload), asked(&plain));

        let queued = Instant::now();
        thread::sleep(Duration::from_millis(1));
        let step = answering(&payload, Some(queued), &recorder).expect("it is sampled");
        let mut answer = br#"{"data":null}"#.to_vec();
        add_took(&mut answer, scope::answering().expect("a traced frame is answered"));
        drop(step);
        assert!(scope::current().is_none() && scope::answering().is_none());
        assert!(take_took(&mut answer, &call).expect("it says so").catalog > 0);
        assert_eq!(
            serde_json::from_slice::<Answer<()>>(&answer).expect("as before"),
            Answer::Data(())
        );
        drop(call);
        let spans = recorder.read(|ring| ring.trace(traced.trace(), (0, 0)));
        let found: Vec<_> = spans.iter().map(|span| (&*span.name, span.parent.is_some())).collect();
        assert_eq!(found, [("wait for a thread", true), ("query", true), ("query", true)]);
        let [wait, answer, call] = &spans[..] else { unreachable!("these three") };
        assert_eq!([wait.parent, answer.parent], [Some(call.id); 2], "they hang under the call");
        assert!(wait.end <= answer.start, "it waited until it was served");
    }

    #[test]
    fn malformed_contexts_are_ignored() {
        let recorder = Recorder::new("catalog", 1.0);
        for payload in [
            &br#"{"traces":["00-1-2-01"],"method_name":"health_check"}"#[..],
            br#"{"traces":7,"method_name":"health_check"}"#,
            br#"{"traces":["#,
            br#"{"method_name":"health_check"}"#,
        ] {
            assert!(answering(payload, None, &recorder).is_none());
        }
    }
}
