//! When requests are due, and when the load is over. Pure: its input is the time since the load
//! began, its output the time at which a request is due.
//!
//! In an open loop request number k, counted from 0, is due at k / rate. So the requests that wait
//! because all connections are busy need no queue: the number of the next one is enough.

use super::load::{Pace, Span};
use std::time::Duration;

/// Gives out the requests of a load, one by one.
#[derive(Debug, Clone)]
pub struct Schedule {
    pace: Pace,
    span: Span,
    /// How many have been given out.
    given: u64,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send a request. It counts as given out.
    Send {
        /// When it should have been sent; not after now.
        due: Duration,
    },
    /// Wait until then.
    Wait {
        /// When the next request is due.
        until: Duration,
    },
    /// The load is over.
    Over,
}

impl Schedule {
    /// The schedule of a load that begins now.
    pub fn new(pace: Pace, span: Span) -> Schedule {
        Schedule { pace, span, given: 0 }
    }

    /// What a connection with room has to do now.
    pub fn next(&mut self, elapsed: Duration) -> Next {
        let due = self.due(elapsed);
        let is_over = match self.span {
            Span::Requests(count) => self.given >= count,
            Span::For(duration) => elapsed >= duration || due >= duration,
        };
        if is_over {
            return Next::Over;
        }
        if due > elapsed {
            return Next::Wait { until: due };
        }
        self.given += 1;
        Next::Send { due }
    }

    /// Ends the load now, before its span is over.
    pub fn end(&mut self, elapsed: Duration) {
        self.span = Span::For(elapsed);
    }

    /// The number of requests that were due before the end but never given out, because no connection had room.
    /// Call it after the end.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number of requests"
    )]
    pub fn unsent(&self) -> u64 {
        match (self.pace, self.span) {
            (Pace::Open { rate }, Span::For(duration)) => {
                ((duration.as_secs_f64() * rate).ceil() as u64).saturating_sub(self.given)
            }
            _ => 0,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "exact for 2^53 requests, a thousand years")]
    fn due(&self, elapsed: Duration) -> Duration {
        match self.pace {
            Pace::Closed => elapsed,
            Pace::Open { rate } => {
                Duration::try_from_secs_f64(self.given as f64 / rate).unwrap_or(Duration::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_closed_loop_sends_whenever_there_is_room_until_it_is_over() {
        let mut schedule = Schedule::new(Pace::Closed, Span::Requests(2));
        assert_eq!(schedule.next(5 * MS), Next::Send { due: 5 * MS });
        assert_eq!(schedule.next(9 * MS), Next::Send { due: 9 * MS });
        assert_eq!(schedule.next(9 * MS), Next::Over);
        let mut schedule = Schedule::new(Pace::Closed, Span::For(10 * MS));
        assert_eq!(schedule.next(9 * MS), Next::Send { due: 9 * MS });
        assert_eq!(schedule.next(10 * MS), Next::Over);
        assert_eq!(schedule.unsent(), 0);
    }

    #[test]
    fn an_open_loop_is_due_at_its_rate_however_late_it_is_asked() {
        let mut schedule = Schedule::new(Pace::Open { rate: 100.0 }, Span::Requests(4));
        assert_eq!(schedule.next(Duration::ZERO), Next::Send { due: Duration::ZERO });
        assert_eq!(schedule.next(3 * MS), Next::Wait { until: 10 * MS });
        let late = [(); 3].map(|()| schedule.next(500 * MS));
        assert_eq!(late, [10, 20, 30].map(|ms| Next::Send { due: ms * MS }));
        assert_eq!(schedule.next(500 * MS), Next::Over);
    }

    #[test]
    fn what_was_due_but_never_sent_is_counted() {
        let mut schedule = Schedule::new(Pace::Open { rate: 100.0 }, Span::For(1000 * MS));
        for _ in 0..30 {
            assert!(matches!(schedule.next(500 * MS), Next::Send { .. }));
        }
        assert_eq!(schedule.next(1000 * MS), Next::Over);
        assert_eq!(schedule.unsent(), 70);
    }

    #[test]
    fn an_end_before_its_time_is_an_end_and_counts_until_then() {
        for span in [Span::For(1000 * MS), Span::Requests(100)] {
            let mut schedule = Schedule::new(Pace::Open { rate: 100.0 }, span);
            assert!(matches!(schedule.next(500 * MS), Next::Send { .. }));
            schedule.end(500 * MS);
            assert_eq!(schedule.next(500 * MS), Next::Over);
            assert_eq!(schedule.unsent(), 49);
        }
    }

    proptest! {
        #[test]
        fn every_request_that_was_due_is_given_out_once_in_its_time_or_counted(
            rate in 1.0..5_000.0, ms in 1u32..2_000, room in prop::collection::vec(0u32..50, 40)
        ) {
            let mut schedule = Schedule::new(Pace::Open { rate }, Span::For(ms * MS));
            let (mut now, mut last, mut given) = (Duration::ZERO, None, 0);
            for room in room {
                for _ in 0..room {
                    let Next::Send { due } = schedule.next(now) else { break };
                    prop_assert!(due <= now && last.is_none_or(|last| last < due));
                    last = Some(due);
                    given += 1;
                }
                now += 50 * MS;
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let all = (f64::from(ms) / 1e3 * rate).ceil() as u64;
            prop_assert_eq!(given + schedule.unsent(), all);
        }
    }
}
