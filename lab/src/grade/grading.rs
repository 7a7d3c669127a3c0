//! Grades one submission: runs the checks of the rubric, each on a store that no earlier check has spoiled.

use super::caller::Reply;
use super::finding::{Finding, NoPoints, Verdict, not_graded, readable};
use super::process::Means;
use super::rubric::{Item, Rubric, Visibility};
use super::store::Store;
use super::submission::Submission;
use super::trial::Trial;
use super::watch::Watch;
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;
use toystore::error::{Error, Result};
use toystore::stop::{Stop, panic_text};

/// After this many failures in a row to open a store, it is not tried again.
const OPENINGS_MAX: usize = 2;

/// The grade of a submission.
#[derive(Debug, Serialize)]
pub struct Grade {
    /// The name of the submission.
    pub submission: String,
    /// The name of the rubric.
    pub rubric: String,
    /// The points.
    pub score: f64,
    /// Full marks, without extra credit.
    pub max_score: f64,
    /// How long it took.
    pub seconds: f64,
    /// Why nothing could be graded, if so.
    pub failure: Option<String>,
    /// The results, in the order of the rubric.
    pub results: Vec<Graded>,
}

/// The result of a check.
#[derive(Debug, Serialize)]
pub struct Graded {
    /// The name of the check.
    pub name: &'static str,
    /// Its group.
    pub group: &'static str,
    /// What the lab asks.
    pub asks: &'static str,
    /// Passed, lost or not graded.
    pub verdict: Verdict,
    /// What was seen, or why it is not graded.
    pub seen: String,
    /// The points.
    pub score: f64,
    /// The most points.
    pub max_score: f64,
    /// Whether they are beyond full marks.
    pub is_extra: bool,
    /// Who sees it in Gradescope.
    pub visibility: Visibility,
    /// How long it took.
    pub seconds: f64,
    /// Requests, answers and faults.
    pub evidence: Vec<String>,
    /// What the processes wrote meanwhile.
    pub log: Vec<String>,
    /// A figure, as SVG.
    #[serde(skip)]
    pub figure: Option<String>,
}

impl Graded {
    fn take_back(&mut self, why: &str) {
        (self.verdict, self.score) = (Verdict::NotGraded, 0.0);
        why.clone_into(&mut self.seen);
    }
}

impl Grade {
    /// Whether all points were reached.
    pub fn is_full(&self) -> bool {
        self.failure.is_none() && self.score >= self.max_score
    }

    /// A submission that could not be graded.
    pub fn failed(submission: &str, rubric: &Rubric, why: &str) -> Grade {
        Grade {
            submission: submission.to_owned(),
            rubric: rubric.name.clone(),
            score: 0.0,
            max_score: full_marks(rubric),
            seconds: 0.0,
            failure: Some(readable(why)),
            results: Vec::new(),
        }
    }
}

fn full_marks(rubric: &Rubric) -> f64 {
    rounded(rubric.items.iter().filter(|item| !item.is_extra).map(|item| item.points).sum())
}

/// Points as they are shown, with at most two decimals: a sum may have many, and the sum of nothing is -0.
fn rounded(points: f64) -> f64 {
    (points * 100.0).round() / 100.0 + 0.0
}

/// Grades a submission. `observe` is told each result.
pub fn grade(
    submission: &Submission,
    rubric: &Rubric,
    means: &Means,
    stop: &Arc<Stop>,
    observe: &mut dyn FnMut(&Graded),
) -> Result<Grade> {
    let begun = Instant::now();
    let watch = Watch::start(submission.limits, stop.clone())?;
    let mut run = Run {
        submission,
        means,
        watch: &watch,
        trial: None,
        spoiled_by: None,
        failed: 0,
        failure: None,
    };
    let mut results = Vec::new();
    for item in &rubric.items {
        let graded = run.run(item);
        observe(&graded);
        results.push(graded);
    }
    // Its processes end before the watch does.
    let Run { trial, failure, .. } = run;
    drop(trial);
    let reason = watch.reason();
    // When the watch sees it depends on the moment, so what was found before does not count.
    if let Some(why) = reason.as_ref().filter(|_| watch.is_over_limit()) {
        for graded in &mut results {
            graded.take_back(why);
        }
    }
    let judged = rubric.items.iter().zip(&results);
    let passed = judged.filter(|(_, graded)| graded.verdict == Verdict::Passed);
    let points = passed.map(|(item, _)| item.points);
    let nothing = results.iter().all(|graded| graded.verdict == Verdict::NotGraded);
    let why = reason.or(failure).unwrap_or_else(|| "no check could be decided".to_owned());
    Ok(Grade {
        submission: submission.name.clone(),
        rubric: rubric.name.clone(),
        score: rounded(points.sum()),
        max_score: full_marks(rubric),
        seconds: begun.elapsed().as_secs_f64(),
        failure: nothing.then(|| readable(&why)),
        results,
    })
}

struct Run<'a> {
    submission: &'a Submission,
    means: &'a Means,
    watch: &'a Watch,
    /// The store and what is known of it, unless the last check spoiled it.
    trial: Option<Trial<'a>>,
    /// The first check that lost points on a store that cannot be made fresh: what others see may follow from the same
    /// fault.
    spoiled_by: Option<&'static str>,
    /// How often in a row a store could not be opened.
    failed: usize,
    /// Why it could not.
    failure: Option<String>,
}

impl Run<'_> {
    fn run(&mut self, item: &Item) -> Graded {
        let begun = Instant::now();
        let finding = self.prepare(item).and_then(|()| self.check(item));
        let (mut evidence, mut log, mut figure) = (Vec::new(), Vec::new(), None);
        if let Some(trial) = &mut self.trial {
            (evidence, log) = trial.evidence();
            figure = trial.figure.take();
        }
        let (verdict, seen) = match finding {
            Ok(seen) => (Verdict::Passed, seen),
            Err(NoPoints::Lost(seen)) => match self.spoiled_by.filter(|_| item.check.is_fresh) {
                None => (Verdict::Lost, seen),
                Some(by) => {
                    let why = format!("{seen}; this may follow from what {by} saw");
                    (Verdict::NotGraded, format!("{why}, and the store cannot be made fresh"))
                }
            },
            Err(NoPoints::NotGraded(why)) => (Verdict::NotGraded, why),
        };
        self.judge_store(item.check.name, verdict);
        Graded {
            name: item.check.name,
            group: item.group,
            asks: item.check.asks,
            verdict,
            seen: readable(&seen),
            score: if verdict == Verdict::Passed { rounded(item.points) } else { 0.0 },
            max_score: rounded(item.points),
            is_extra: item.is_extra,
            visibility: item.visibility,
            seconds: begun.elapsed().as_secs_f64(),
            evidence,
            log,
            figure,
        }
    }

    /// Opens a store, if the check needs a fresh one or there is none.
    fn prepare(&mut self, item: &Item) -> Result<(), NoPoints> {
        if let Some(reason) = self.watch.reason() {
            return Err(NoPoints::NotGraded(reason));
        }
        if self.trial.is_some() && (!item.check.is_fresh || self.is_only_one()) {
            return Ok(());
        }
        // Another program may have taken a port in the meantime, so a failure is tried again.
        while self.failed < OPENINGS_MAX && self.watch.reason().is_none() {
            // The old store ends before the new one needs its ports.
            self.trial = None;
            let opened = self.open();
            self.watch.count();
            if let Some(reason) = self.watch.reason() {
                return not_graded(reason);
            }
            let Err(error) = opened else {
                self.failed = 0;
                return Ok(());
            };
            self.failed += 1;
            self.failure = Some(format!("the store does not start: {error}"));
        }
        not_graded(self.failure.clone().unwrap_or_default())
    }

    /// Starts a fresh store. One that does not start stays for its evidence.
    fn open(&mut self) -> Result<()> {
        let store = Store::new(self.submission, self.means, self.watch)?;
        let trial = self.trial.insert(Trial::new(self.submission, store, self.watch));
        trial.store.start_all()?;
        if self.submission.is_foreign()
            && let Ok(Reply::Is(_)) = trial.look_up(1)
        {
            return Err(Error::invalid("it has orders already; it must be fresh"));
        }
        Ok(())
    }

    /// Whether there is one store for all checks: somebody else started it, and it cannot be made fresh.
    fn is_only_one(&self) -> bool {
        self.submission.is_foreign() && self.submission.fresh.is_empty()
    }

    /// Runs a check. If it panics, that is a mistake of grade, not of the store.
    fn check(&mut self, item: &Item) -> Finding {
        let Some(trial) = &mut self.trial else {
            return Err(NoPoints::NotGraded("no store".to_owned()));
        };
        trial.begin(item.check.is_fresh);
        let finding = catch_unwind(AssertUnwindSafe(|| (item.check.run)(trial)));
        let finding = finding.unwrap_or_else(|panic| {
            let what = format!("the check panicked: {}", panic_text(&*panic));
            Err(NoPoints::NotGraded(what))
        });
        self.watch.count();
        match (self.watch.reason(), finding) {
            // What it saw may be because everything was killed.
            (Some(reason), _) => Err(NoPoints::NotGraded(reason)),
            (None, finding) => finding,
        }
    }

    /// Gives up a store that a check may have spoiled, so that the next one is not judged by it.
    fn judge_store(&mut self, check: &'static str, verdict: Verdict) {
        let is_only_one = self.is_only_one() && self.failed == 0;
        let Some(trial) = &mut self.trial else { return };
        if is_only_one {
            if verdict == Verdict::Lost || trial.store.is_down() {
                self.spoiled_by.get_or_insert(check);
                trial.doubt_toys();
            }
        } else if verdict != Verdict::Passed || !trial.store.ended().is_empty() {
            self.trial = None;
        }
    }
}
