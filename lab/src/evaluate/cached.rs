//! Experiment 4: what is in the cache, request by request. One client queries popular toys more often
//! than others, and sometimes buys one; the store restocks. After each request the experiment reads the cache from the
//! front-end's status. The differences show which toys were fetched, evicted and invalidated.

use super::chapter::{Chapter, Figure, Table, csv};
use super::lab::{Lab, OpenStore};
use super::mosaic::{Mosaic, Step, Why};
use super::plot::Picture;
use super::words;
use parking_lot::Mutex;
use serde::Serialize;
use std::time::Duration;
use toystore::client::api::Api;
use toystore::config::Restock;
use toystore::error::{Error, Result};
use toystore::model::{Item, Quantity};
use toystore::monitoring::status::CacheStatus;

/// The probability that a request is a purchase.
const PURCHASES: f64 = 0.1;

/// How often the store restocks.
const RESTOCK_EVERY: Duration = Duration::from_millis(400);

/// The pause between two requests.
const PAUSE: Duration = Duration::from_millis(8);

/// A row of the CSV.
#[derive(Debug, Serialize)]
struct Row<'a> {
    request: usize,
    kind: &'static str,
    toy: &'a str,
    outcome: &'static str,
    cached: String,
    evicted: String,
    bought: String,
    restocked: String,
}

/// Makes the experiment.
pub fn run(lab: &Lab) -> Result<Chapter> {
    let count = lab.pick(120, 60);
    lab.begin("4 Cache contents over time", count);
    let store = lab.open(|config| {
        config.catalog.restock_every = RESTOCK_EVERY;
        config.catalog.restock = Restock::All;
        config.catalog.restock_to = 100;
    })?;
    let (toys, steps) = shop(lab, &store, count)?;
    let last = store.status()?.cache;
    let mosaic = Mosaic { toys: &toys, steps: &steps, capacity: last.capacity };
    Ok(Chapter {
        id: "cache",
        title: "Cache contents over time",
        setup: format!(
            "One client makes {count} requests, one after the other: it queries toys, the n-th most \
             popular with weight 1/√n, and with a chance of {:.0} % buys one instead. Every {} all \
             toys that were bought are restocked. The cache holds {} of {} toys.",
            PURCHASES * 100.0,
            words::time(RESTOCK_EVERY.as_secs_f64() * 1e6),
            last.capacity,
            toys.len()
        ),
        findings: findings(&steps, last.capacity, toys.len()),
        surprises: surprises(&steps, &last),
        figures: vec![Figure {
            name: "4-cache",
            title: "Which toys are in the cache after each request".into(),
            caption: "A row per toy, a column per request. Filled while the toy is cached: dark when just \
                      used, pale when it is the next to be evicted."
                .into(),
            picture: Picture::of(&mosaic)?,
            csv: rows(&steps)?,
        }],
        table: table(&toys, &steps),
    })
}

/// Makes the requests. Returns the toys, the most popular first, and the steps.
fn shop(lab: &Lab, store: &OpenStore, count: usize) -> Result<(Vec<String>, Vec<Step>)> {
    let tally = Mutex::default();
    let mut shop = store.shop(&tally);
    let toys = shop.names()?;
    let mut random = fastrand::Rng::with_seed(lab.seed);
    let mut steps: Vec<Step> = Vec::new();
    let mut before = store.status()?.cache;
    for _ in 0..count {
        std::thread::sleep(PAUSE);
        let toy = toys[popular(&mut random, toys.len())].clone();
        let is_purchase = random.f64() < PURCHASES;
        ask(&mut shop, &toy, is_purchase)?;
        let after = store.status()?.cache;
        steps.push(compare(&before, &after, toy.into(), is_purchase));
        before = after;
        lab.step()?;
    }
    Ok((toys.into_iter().map(String::from).collect(), steps))
}

fn ask(shop: &mut Api<'_>, toy: &str, is_purchase: bool) -> Result<()> {
    if !is_purchase {
        return shop.query(toy).map(drop);
    }
    let quantity = Quantity::try_from(1)?;
    match shop.buy(&Item { name: toy.parse()?, quantity }) {
        Err(Error::NotEnoughStock) => Ok(()),
        other => other.map(drop),
    }
}

/// The rank of a random toy. The n-th most popular has weight 1/√n: like Zipf's law but less steep, so that
/// ten toys do not fit into a cache for seven.
fn popular(random: &mut fastrand::Rng, toys: usize) -> usize {
    let weight = |n: usize| u32::try_from(n + 1).map_or(0.0, |n| f64::from(n).sqrt().recip());
    let mut left = random.f64() * (0..toys).map(weight).sum::<f64>();
    let chosen = (0..toys).find(|n| {
        left -= weight(*n);
        left < 0.0
    });
    chosen.unwrap_or(0)
}

/// The effect of a request on the cache.
fn compare(before: &CacheStatus, after: &CacheStatus, toy: String, is_purchase: bool) -> Step {
    let is_hit = after.hits > before.hits;
    let version = |cache: &CacheStatus, name: &str| {
        cache.toys.iter().find(|toy| toy.name == name).map(|toy| toy.version)
    };
    let mut gone = Vec::new();
    for old in &before.toys {
        let now = version(after, &old.name);
        let left = now != Some(old.version);
        if !left {
            continue;
        }
        let why = match (is_purchase, after.evictions > before.evictions) {
            (true, _) if old.name == toy => Why::Bought,
            (false, true) if is_oldest(before, &old.name) => Why::Evicted,
            _ => Why::Restocked,
        };
        gone.push((old.name.clone(), why));
    }
    let cached = after.toys.iter().map(|toy| toy.name.clone()).collect();
    Step { is_purchase, toy, is_hit, cached, gone }
}

/// Whether this toy is the least recently used.
fn is_oldest(cache: &CacheStatus, name: &str) -> bool {
    cache.toys.last().is_some_and(|last| last.name == name)
}

/// How often a toy left the cache for this reason.
fn departures(steps: &[Step], why: Why) -> u64 {
    let gone = steps.iter().flat_map(|step| &step.gone);
    gone.filter(|(_, other)| *other == why).count() as u64
}

fn findings(steps: &[Step], capacity: usize, toys: usize) -> Vec<String> {
    let queries = steps.iter().filter(|step| !step.is_purchase).count() as u64;
    let hits = steps.iter().filter(|step| step.is_hit).count() as u64;
    let [evicted, bought, restocked] =
        [Why::Evicted, Why::Bought, Why::Restocked].map(|why| departures(steps, why));
    let purchases = steps.iter().filter(|step| step.is_purchase).count() as u64;
    let filled = steps.iter().position(|step| step.cached.len() == capacity);
    let full = steps.iter().filter(|step| step.cached.len() == capacity).count() as u64;
    vec![
        format!(
            "Of {queries} queries {hits} were answered from the cache ({}); a cache that always held the same \
             {capacity} of the {toys} toys would answer {}: {}. It was full {} and after {} of all requests.",
            words::share(hits, queries),
            words::share(capacity as u64, toys as u64),
            if hits * toys as u64 >= queries * capacity as u64 {
                "keeping the most recently used toys helps"
            } else {
                "purchases and restocks, which remove toys, cost more hits than keeping the most recently used toys \
                 adds"
            },
            filled.map_or_else(
                || "at no time".to_owned(),
                |at| format!("for the first time after {} requests", at + 1)
            ),
            words::share(full, steps.len() as u64),
        ),
        format!(
            "A toy left the cache {} times: {evicted} times because the cache was full and the toy was the least \
             recently used; {bought} times because it was bought ({} in all, the others of \
             toys that were not cached); {restocked} times because it was restocked. An invalidated toy is cached \
             again only when it is queried.",
            evicted + bought + restocked,
            words::count(purchases, "purchase"),
        ),
    ]
}

/// The differences between what was seen and the front-end's own counters.
fn surprises(steps: &[Step], last: &CacheStatus) -> Vec<String> {
    let hits = steps.iter().filter(|step| step.is_hit).count() as u64;
    let evicted = departures(steps, Why::Evicted);
    let dropped = departures(steps, Why::Bought) + departures(steps, Why::Restocked);
    let counters = [
        ("hits", hits, last.hits),
        ("evictions", evicted, last.evictions),
        ("invalidations", dropped, last.invalidations),
    ];
    let differ = counters.iter().filter(|(_, seen, counted)| seen != counted);
    differ
        .map(|(what, seen, counted)| {
            format!("{seen} {what} were seen, the front-end counted {counted}")
        })
        .collect()
}

fn rows(steps: &[Step]) -> Result<String> {
    let rows: Vec<_> = (1..)
        .zip(steps)
        .map(|(request, step)| {
            let gone = |why| {
                let names = step.gone.iter().filter(|(_, other)| *other == why);
                names.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")
            };
            Row {
                request,
                kind: if step.is_purchase { "buy" } else { "query" },
                toy: &step.toy,
                outcome: match (step.is_purchase, step.is_hit) {
                    (true, _) => "bought",
                    (false, true) => "hit",
                    (false, false) => "miss",
                },
                cached: step.cached.join(" "),
                evicted: gone(Why::Evicted),
                bought: gone(Why::Bought),
                restocked: gone(Why::Restocked),
            }
        })
        .collect();
    csv(&rows)
}

fn table(toys: &[String], steps: &[Step]) -> Table {
    let row = |toy: &String| {
        let count =
            |is: &dyn Fn(&Step) -> bool| steps.iter().filter(|step| is(step)).count().to_string();
        let gone = |why| count(&|step| step.gone.contains(&(toy.clone(), why)));
        vec![
            toy.clone(),
            count(&|step| step.toy == *toy && !step.is_purchase),
            count(&|step| step.toy == *toy && step.is_hit),
            count(&|step| step.toy == *toy && step.is_purchase),
            gone(Why::Evicted),
            gone(Why::Bought),
            gone(Why::Restocked),
            words::share(
                steps.iter().filter(|step| step.cached.contains(toy)).count() as u64,
                steps.len() as u64,
            ),
        ]
    };
    let head = vec![
        "toy",
        "queries",
        "hits",
        "purchases",
        "evicted",
        "dropped: bought",
        "dropped: restocked",
        "time in cache",
    ];
    Table { head, rows: toys.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toystore::monitoring::status::CachedToy;

    fn cache(toys: &[(&str, u64)], hits: u64, evictions: u64) -> CacheStatus {
        let toys = toys
            .iter()
            .map(|(name, version)| CachedToy { name: (*name).into(), version: *version });
        let toys: Vec<_> = toys.collect();
        let toy_count = toys.len();
        CacheStatus { capacity: 2, toy_count, toys, hits, evictions, ..CacheStatus::default() }
    }

    #[test]
    fn what_left_the_cache_left_for_its_reason() {
        let before = cache(&[("Tux", 1), ("Lego", 1)], 0, 0);
        let hit = compare(&before, &cache(&[("Lego", 1), ("Tux", 1)], 1, 0), "Lego".into(), false);
        assert!(hit.is_hit && hit.gone.is_empty());
        let evicted =
            compare(&before, &cache(&[("Fox", 1), ("Tux", 1)], 0, 1), "Fox".into(), false);
        assert_eq!(evicted.gone, [("Lego".to_owned(), Why::Evicted)]);
        let bought = compare(&before, &cache(&[("Lego", 1)], 0, 0), "Tux".into(), true);
        assert_eq!(bought.gone, [("Tux".to_owned(), Why::Bought)]);
        let restocked = compare(&before, &cache(&[("Tux", 1)], 1, 0), "Tux".into(), false);
        assert_eq!(restocked.gone, [("Lego".to_owned(), Why::Restocked)]);
        let fetched_anew =
            compare(&before, &cache(&[("Tux", 2), ("Lego", 1)], 0, 0), "Tux".into(), false);
        assert_eq!(fetched_anew.gone, [("Tux".to_owned(), Why::Restocked)]);
    }
}
