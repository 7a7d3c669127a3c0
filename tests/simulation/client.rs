//! Customers: they query, buy and look orders up. Without an answer they buy again with the same key. Some buy by hand
//! at a replica. Some send no key: these buy again only if the error says that nothing was bought.

use crate::catalog::TOYS;
use crate::context::Context;
use crate::judge::Judge;
use crate::wire::{Answer, CustomerRequest, Input, Node, Question, Reply, Tag, Timer};
use crate::world::{FRONTEND, REPLICAS, between, ms};
use std::time::Duration;
use toystore::error::Error;
use toystore::model::{FrontendId, Item, Key, Moment, OrderNumber, Quantity, ReplicaId};

const DEADLINE: Duration = ms(5_000);

/// A customer, with one request at a time.
pub struct Client {
    pub id: u32,
    /// The number of front-ends.
    frontends: usize,
    purchases: u32,
    doing: Option<Doing>,
    /// The end of the run: no new request is begun.
    pub closing: bool,
}

struct Doing {
    what: CustomerRequest,
    /// When its first attempt was sent.
    begun: Moment,
    tag: Option<Tag>,
    attempts: u32,
}

impl Client {
    pub fn new(id: u32, frontends: usize) -> Client {
        Client { id, frontends, purchases: 0, doing: None, closing: false }
    }

    /// Whether it has no request in flight and none to repeat.
    pub fn is_done(&self) -> bool {
        self.doing.is_none()
    }

    /// Makes it buy something after its current request.
    pub fn buy_last(&mut self, context_now: Moment) {
        self.purchases += 1;
        let what = self.purchase("Lego", 1, true);
        self.doing = Some(Doing { what, begun: context_now, tag: None, attempts: 0 });
    }

    pub fn handle(
        &mut self,
        input: Input,
        context: &mut Context<'_>,
        judge: &mut Judge,
    ) -> Result<(), String> {
        match input {
            Input::Timer(_) => self.go_on(context, judge),
            Input::Reply(tag, reply) => {
                if self.doing.as_ref().is_some_and(|doing| doing.tag == Some(tag)) {
                    self.answered(tag, reply, context, judge)?;
                }
            }
            Input::Question(..) => {}
        }
        Ok(())
    }

    fn go_on(&mut self, context: &mut Context<'_>, judge: &Judge) {
        let wait = between(context.rng, &(ms(1)..ms(60)));
        context.after(wait, Timer::Wake);
        if self.doing.is_none() && !self.closing {
            let what = self.choose(context, judge);
            self.doing = Some(Doing { what, begun: context.now, tag: None, attempts: 0 });
        }
        if let Some(doing) = &mut self.doing
            && doing.tag.is_none()
        {
            let to = match doing.what {
                CustomerRequest::Withdraw { .. } => Node::Catalog,
                CustomerRequest::Buy { .. } if !self.closing && context.rng.u32(0..5) == 0 => {
                    let leader = judge.view().map_or(ReplicaId(1), |view| view.leader);
                    let some = ReplicaId(context.rng.u32(1..=REPLICAS));
                    Node::Replica(if context.rng.bool() { leader } else { some })
                }
                // Also a repetition.
                _ if self.frontends > 1 && context.rng.bool() => Node::Frontend(FrontendId(2)),
                _ => Node::Frontend(FRONTEND),
            };
            let question = Question::Customer(doing.what.clone());
            let tag = context.ask(to, question, context.now + DEADLINE);
            context.note(|| format!("#{tag} at {to:?}: {:?}", doing.what));
            doing.tag = Some(tag);
            doing.attempts += 1;
        }
    }

    fn choose(&mut self, context: &mut Context<'_>, judge: &Judge) -> CustomerRequest {
        let name = TOYS[context.rng.usize(..TOYS.len())];
        match context.rng.u32(0..10) {
            0..4 => {
                self.purchases += 1;
                let has_key = context.rng.u32(0..4) > 0;
                self.purchase(name, context.rng.u64(1..4), has_key)
            }
            4 if judge.acknowledged() > 0 => {
                let newest = judge.acknowledged();
                let some = context.rng.u64(1..=newest + 1);
                // The newest is the one that a leader may miss that was replaced without knowing it.
                let number = OrderNumber(if context.rng.bool() { newest } else { some });
                CustomerRequest::LookUp { number }
            }
            5 => CustomerRequest::Withdraw {
                item: Item {
                    name: name.parse().unwrap(),
                    quantity: Quantity::try_from(1).unwrap(),
                },
            },
            _ => CustomerRequest::Query { name: name.into() },
        }
    }

    fn purchase(&self, name: &str, quantity: u64, has_key: bool) -> CustomerRequest {
        let key = format!("c{}-{}", self.id, self.purchases);
        CustomerRequest::Buy {
            key: has_key.then(|| Key::try_from(key).unwrap()),
            item: Item {
                name: name.parse().unwrap(),
                quantity: Quantity::try_from(quantity).unwrap(),
            },
        }
    }

    fn answered(
        &mut self,
        tag: Tag,
        reply: Reply,
        context: &mut Context<'_>,
        judge: &mut Judge,
    ) -> Result<(), String> {
        let Some(mut doing) = self.doing.take() else { return Ok(()) };
        match (&doing.what, reply) {
            (CustomerRequest::Buy { key, item }, Ok(Answer::Number(number))) => {
                judge.bought((tag, key.as_ref()), item, number, (doing.begun, context.now))?;
            }
            (CustomerRequest::Query { name }, Ok(Answer::Toy(toy))) => {
                judge.shown(name, &toy, doing.begun)?;
            }
            (CustomerRequest::LookUp { .. }, Ok(Answer::Entry(entry))) => {
                judge.looked_up(&entry)?;
            }
            (CustomerRequest::LookUp { number }, Err(error)) if !error.is_transient() => {
                judge.not_found(*number, doing.begun)?;
            }
            (CustomerRequest::Buy { key, item }, Err(error))
                if error.is_transient() || error == Error::NotEnoughStock =>
            {
                if error == Error::NotEnoughStock {
                    judge.sold_out(item)?;
                }
                if error.is_definite() {
                    judge.refused(tag);
                }
                let may_repeat = key.is_some() || error.is_definite();
                // Some give up, and never know whether there is an order.
                let wants_to = self.closing || doing.attempts < 3 || context.rng.bool();
                if error.is_transient() && may_repeat && wants_to {
                    doing.tag = None;
                    self.doing = Some(doing);
                }
            }
            (CustomerRequest::Withdraw { item }, Ok(Answer::Withdrawn(sold))) => {
                judge.raise_floor(&item.name, sold.version, context.now);
            }
            (CustomerRequest::Withdraw { .. }, Err(Error::NotEnoughStock)) => {}
            (_, Err(error)) if error.is_transient() => {}
            (what, answer) => return Err(format!("{what:?} was answered with {answer:?}")),
        }
        Ok(())
    }
}
