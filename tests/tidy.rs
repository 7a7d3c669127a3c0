//! Rules for the sources that neither rustc nor clippy checks: which modules may import which, which files
//! must be pure, and how large files may be.
//!
//! The tests read the sources as text. Each finds all offenders before it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The layers: each module may import only modules of strictly lower rows. Modules of one row, such as
/// the services, do not import each other.
const LAYERS: [&[&str]; 19] = [
    &["error"],
    &["address", "model", "output", "text"],
    &["config"],
    &["blocking", "diagnostics", "history", "links", "stop"],
    &["program", "signals"],
    &["net"],
    &["storage"],
    &["http"],
    &["trace"],
    &["protocol", "pages"],
    &["monitoring"],
    &["endpoint", "collector", "catalogs"],
    &["client", "frontend", "order", "catalog"],
    &["supervisor", "audit", "certs", "toys"],
    &["migration"],
    &["loadtest"],
    &["evaluate"],
    &["grade"],
    &["bin"],
];

/// The files that take an input, time included, and return what to do. The simulation drives the
/// code of production, so these files must not use anything outside.
const PURE: [&str; 37] = [
    "src/storage/database/fault.rs",
    "src/storage/database/row.rs",
    "src/storage/database/lease.rs",
    "src/order/replica.rs",
    "src/order/replica/follower.rs",
    "src/order/buying.rs",
    "src/order/log.rs",
    "src/order/leadership.rs",
    "src/catalog/stock.rs",
    "src/catalog/record.rs",
    "src/catalog/leases.rs",
    "src/frontend/cache.rs",
    "src/frontend/asking.rs",
    "src/frontend/querying.rs",
    "src/frontend/elected.rs",
    "src/frontend/purchases.rs",
    "src/frontend/controller.rs",
    "src/frontend/router.rs",
    "src/trace/context.rs",
    "src/trace/span.rs",
    "src/trace/ring.rs",
    "src/trace/timing.rs",
    "src/trace/tree.rs",
    "src/trace/path.rs",
    "src/trace/text.rs",
    "src/trace/chrome.rs",
    "src/trace/otlp.rs",
    "src/audit/check.rs",
    "src/migration/contents.rs",
    "src/history/checker.rs",
    "src/history/service.rs",
    "lab/src/loadtest/schedule.rs",
    "lab/src/loadtest/requests.rs",
    "lab/src/loadtest/summary.rs",
    "lab/src/grade/orders.rs",
    "lab/src/grade/submission/rules.rs",
    "lab/src/grade/submission/template.rs",
];

/// The names that make a file impure: files, sockets, threads, clocks, randomness, locks.
const IMPURE: [&str; 9] = [
    "std::net",
    "std::fs",
    "std::io",
    "std::thread",
    "Instant",
    "SystemTime",
    "fastrand",
    "parking_lot",
    "Mutex",
];

const FILE_LINES_MAX: usize = 500;
const BINARY_LINES_MAX: usize = 60;

/// A source file.
struct Source {
    /// Its path from the root of the repository.
    path: String,
    text: String,
}

impl Source {
    /// The module directly below its crate's root that it belongs to; `None` for the root.
    fn module(&self) -> Option<&str> {
        let path = self.path.strip_prefix("lab/").unwrap_or(&self.path).strip_prefix("src/")?;
        let module = path.split(['/', '.']).next()?;
        (module != "lib").then_some(module)
    }

    /// Its lines with their numbers, without comments and without the tests at its end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test = self.path.ends_with("/tests.rs");
        (1..)
            .zip(self.text.lines())
            .take_while(move |(_, line)| !is_test && !line.starts_with("#[cfg(test)]"))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The places where its code has this text.
    fn find(&self, text: &str) -> Vec<String> {
        let found = self.code().filter(|(_, line)| line.contains(text));
        found.map(|(number, line)| format!("{}:{number}: {}", self.path, line.trim())).collect()
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    let mut open = vec![root.join("src"), root.join("lab/src")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(path).expect("readable").map(|entry| entry.expect("readable").path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("readable");
            let path = PathBuf::from(path.strip_prefix(root).expect("below the root"));
            all.push(Source { path: path.display().to_string(), text });
        }
    }
    assert!(all.len() > 5, "the sources are where this test looks for them");
    all
}

/// Fails with all offenders, if there are any.
fn assert_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

/// The row of a module in the table of layers.
fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// The modules of the store or of the lab that a line of code names.
fn imports(line: &str) -> impl Iterator<Item = &str> {
    let after = ["crate::", "toystore::"].into_iter().flat_map(|root| line.split(root).skip(1));
    after.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(""))
}

#[test]
fn modules_import_only_lower_layers() {
    let mut offenders = Vec::new();
    for source in sources() {
        let Some(own) = source.module() else { continue };
        let Some(own_layer) = layer(own) else {
            offenders.push(format!("{}: {own} is not in the table of layers", source.path));
            continue;
        };
        // Binaries may list several modules of the library in braces; all are lower.
        for (number, line) in source.code().filter(|_| own != "bin") {
            for import in imports(line) {
                if import != own && layer(import).is_none_or(|layer| layer >= own_layer) {
                    offenders.push(format!("{}:{number}: {own} uses {import}", source.path));
                }
            }
        }
    }
    assert_none("a module imports modules of strictly lower layers, one by one", &offenders);
}

/// The paths that follow `root` in a piece of code, such as `crate::` or `super::`. `a::{b, c}` is two.
fn paths<'a>(code: &'a str, root: &str) -> Vec<Vec<&'a str>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut all = Vec::new();
    for (place, _) in code.match_indices(root) {
        // Skips the end of a longer path, and the scope of a `pub(in crate::net)`.
        let before = &code[..place];
        if before.ends_with(|c: char| is_word(c) || c == ':') || before.ends_with("(in ") {
            continue;
        }
        let rest = &code[place + root.len()..];
        let end = rest.find(|c: char| !is_word(c) && c != ':').unwrap_or(rest.len());
        let (path, after) = rest.split_at(end);
        let mut path: Vec<&str> = path.split("::").collect();
        let Some(group) = after.strip_prefix('{').filter(|_| path.last() == Some(&"")) else {
            all.push(path);
            continue;
        };
        path.pop();
        for name in group.split('}').next().unwrap_or("").split(',') {
            let name = name.trim().split(|c: char| !is_word(c)).next().unwrap_or("");
            all.push(path.iter().copied().chain([name]).collect());
        }
    }
    all
}

/// Which modules directly in a folder import which others of it. A folder in it counts as one module; the folder's own
/// `mod.rs` is the module `mod`, and so is whatever it defines or re-exports.
fn imports_within(folder: &str, sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let folder_path = module_path(folder);
    let inside: Vec<&Source> =
        sources.iter().filter(|source| source.path.starts_with(&format!("{folder}/"))).collect();
    let own = |source: &Source| {
        module_path(&source.path).get(folder_path.len()).map_or("mod", |name| name).to_owned()
    };
    let names: BTreeSet<String> = inside.iter().map(|source| own(source)).collect();
    let mut all = BTreeMap::<String, BTreeSet<String>>::new();
    for source in inside {
        let module = module_path(&source.path);
        let code: Vec<&str> = source.code().map(|(_, line)| line).collect();
        let code = code.join("\n");
        let below = |from: &[&'_ str], path: Vec<&'_ str>| -> Option<String> {
            let full: Vec<&str> = from.iter().copied().chain(path).collect();
            let name = full.strip_prefix(&*folder_path)?.first().copied().unwrap_or("mod");
            Some(if names.contains(name) { name } else { "mod" }.to_owned())
        };
        let imports = all.entry(own(source)).or_default();
        for path in paths(&code, "crate::") {
            imports.extend(below(&module[..1], path));
        }
        for path in paths(&code, "super::") {
            let up = 1 + path.iter().take_while(|name| **name == "super").count();
            imports.extend(below(&module[..module.len() - up], path[up - 1..].to_vec()));
        }
        if own(source) == "mod" {
            imports.extend(
                names.iter().filter(|name| !paths(&code, &format!("{name}::")).is_empty()).cloned(),
            );
        }
        imports.remove(&own(source));
    }
    all
}

/// The crate and the modules of a source file.
fn module_path(file: &str) -> Vec<&str> {
    let (package, inside) = file.split_once("src/").unwrap_or(("", file));
    let inside = inside.trim_end_matches(".rs").trim_end_matches("mod").trim_end_matches('/');
    std::iter::once(if package.is_empty() { "store" } else { "lab" })
        .chain(inside.split('/').filter(|name| *name != "lib" && !name.is_empty()))
        .collect()
}

#[test]
fn no_module_imports_one_that_imports_it() {
    let sources = sources();
    let folders: BTreeSet<&str> = sources
        .iter()
        .filter_map(|source| Some(source.path.rsplit_once('/')?.0))
        .filter(|folder| !folder.ends_with("src") && !folder.ends_with("src/bin"))
        .collect();
    let mut offenders = Vec::new();
    let mut found = 0;
    for folder in folders {
        let mut left = imports_within(folder, &sources);
        found += left.values().map(BTreeSet::len).sum::<usize>();
        // Removes the modules that import none of the others, or that none of the others imports. Circles stay.
        loop {
            let names: BTreeSet<String> = left.keys().cloned().collect();
            let imported: BTreeSet<String> = left.values().flatten().cloned().collect();
            left.retain(|own, imports| !imports.is_disjoint(&names) && imported.contains(own));
            if left.len() == names.len() {
                break;
            }
        }
        for (own, imports) in &left {
            let circle: Vec<_> = imports.iter().filter(|name| left.contains_key(*name)).collect();
            offenders.push(format!("{folder}/{own} uses {circle:?}"));
        }
    }
    assert!(found > 100, "the imports are found");
    assert_none("no module imports one that imports it, directly or through others", &offenders);
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    let headless = sources().into_iter().filter(|source| !source.text.starts_with("//! "));
    assert_none(
        "a file begins with a //! sentence",
        &headless.map(|source| source.path).collect::<Vec<_>>(),
    );
}

#[test]
fn pure_files_know_nothing_of_the_outside() {
    let sources = sources();
    let mut offenders = Vec::new();
    for path in PURE {
        if let Some(source) = sources.iter().find(|source| source.path == path) {
            offenders.extend(IMPURE.iter().flat_map(|word| source.find(word)));
        } else if Path::new(path).parent().unwrap().exists() {
            offenders.push(format!("{path} is missing"));
        }
    }
    assert_none("a pure file has no I/O, thread, clock, randomness or lock", &offenders);
}

#[test]
fn files_stay_small() {
    let mut offenders = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        let max = if source.module() == Some("bin") { BINARY_LINES_MAX } else { FILE_LINES_MAX };
        if lines > max {
            offenders.push(format!("{} has {lines} lines, at most {max}", source.path));
        }
    }
    assert_none("a file holds one idea", &offenders);
}

/// A `println!` panics when standard output cannot be written, and waits while nobody reads it.
#[test]
fn only_the_output_module_writes_to_standard_output() {
    let words = ["print!(", "println!(", "stdout().write", "stdout().lock", "stderr().write"];
    let others = sources().into_iter().filter(|source| source.module() != Some("output"));
    let offenders: Vec<_> = others
        .flat_map(|source| words.iter().flat_map(|word| source.find(word)).collect::<Vec<_>>())
        .collect();
    assert_none("what is printed goes through `output`", &offenders);
}

#[test]
fn nothing_is_left_undone_or_left_to_luck() {
    let words = ["todo!", "unimplemented!", ".unwrap()", "dbg!"];
    let offenders: Vec<_> = sources()
        .iter()
        .flat_map(|source| words.iter().flat_map(|word| source.find(word)).collect::<Vec<_>>())
        .collect();
    assert_none("no todo!, no unwrap outside tests", &offenders);
}

/// `make sabotage` takes too long for every run. Here only the patches are checked: that they apply.
#[test]
fn every_sabotage_still_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(root.join("tests/sabotage")).expect("readable");
    let mut offenders = Vec::new();
    let mut count = 0;
    for path in files.map(|file| file.expect("readable").path()) {
        if path.extension().is_none_or(|extension| extension != "patch") {
            continue;
        }
        count += 1;
        let mut git = Command::new("git");
        git.args(["apply", "--check"]).arg(&path).current_dir(root);
        // Without git this cannot be checked.
        let Ok(output) = git.output() else { return };
        if !output.status.success() {
            offenders.push(format!(
                "{}: {}",
                path.display(),
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        let text = fs::read_to_string(&path).expect("readable");
        if text.lines().next().is_none_or(|line| line.is_empty() || line.starts_with("diff ")) {
            offenders.push(format!("{}: its first line names no rule", path.display()));
        }
    }
    assert!(count > 0, "the patches are where this test looks for them");
    assert_none("a sabotage goes with the sources", &offenders);
}

/// Each source that a page names must exist, by its path or by the
/// end of its path, so that readers can follow the pages.
#[test]
fn every_source_cited_in_a_page_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = sources();
    let mut pages = vec![root.join("README.md")];
    pages.extend(
        fs::read_dir(root.join("docs")).expect("readable").map(|e| e.expect("there").path()),
    );
    let mut offenders = Vec::new();
    for page in pages.iter().filter(|page| page.extension().is_some_and(|end| end == "md")) {
        let text = fs::read_to_string(page).expect("readable");
        let is_file = |cited: &&str| {
            !cited.contains(' ') && Path::new(cited).extension().is_some_and(|end| end == "rs")
        };
        for cited in text.split('`').filter(is_file) {
            let end = format!("/{cited}");
            let is_source = sources.iter().any(|source| source.path.ends_with(&end));
            let is_there = ["", "tests"].iter().any(|place| root.join(place).join(cited).exists());
            if !is_source && !is_there {
                offenders.push(format!("{}: {cited}", page.display()));
            }
        }
    }
    assert_none("a page names sources that exist", &offenders);
}

/// The code cites requirements by number. Each number must be in `docs/requirements.md`, and each
/// test that is named there must exist.
#[test]
fn every_requirement_cited_is_listed_and_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/requirements.md")).expect("readable");
    let mut listed = Vec::new();
    let mut offenders = Vec::new();
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| | ")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        listed.push(cells[1].to_owned());
        let quoted: Vec<&str> = cells[cells.len() - 2].split('`').skip(1).step_by(2).collect();
        let [path, name] = quoted[..] else {
            offenders.push(format!("{}: names no file and test", cells[1]));
            continue;
        };
        let source = fs::read_to_string(root.join(path)).unwrap_or_default();
        if !source.contains(&format!("fn {name}(")) {
            offenders.push(format!("{}: {path} has no test {name}", cells[1]));
        }
    }
    assert!(listed.len() > 30, "the requirements are where this test looks for them");
    for source in sources() {
        for (place, line) in (1..).zip(source.text.lines()) {
            let Some((_, comment)) = line.split_once("//") else { continue };
            for code in
                requirements(comment).filter(|code| !listed.iter().any(|number| number == code))
            {
                offenders.push(format!("{}:{place}: {code} is not listed", source.path));
            }
        }
    }
    assert_none(
        "each requirement cited is in docs/requirements.md, each there has a test",
        &offenders,
    );
}

/// The numbers of requirements in a comment: the letter of a section, and digits.
fn requirements(comment: &str) -> impl Iterator<Item = &str> {
    comment.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').filter(|word| {
        let digits = word.strip_prefix(['F', 'C', 'O', 'K', 'L', 'R']).unwrap_or("");
        !digits.is_empty() && digits.len() < 3 && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

#[test]
fn these_checks_see_what_they_look_for() {
    assert_eq!(requirements(" (F4), C12: X3.64 O8").collect::<Vec<_>>(), ["F4", "C12", "O8"]);
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let text = "//! use crate::bin;\nuse crate::net;\nlet x = crate::http::f(toystore::order::g());\n#[cfg(test)]\nx.unwrap()";
    let file = source("src/order/log.rs", text);
    assert_eq!(file.module(), Some("order"));
    assert_eq!(source("src/text.rs", "").module(), Some("text"));
    assert_eq!(source("src/bin/run-all.rs", "").module(), Some("bin"));
    assert_eq!(source("src/lib.rs", "").module(), None);
    assert_eq!(source("lab/src/evaluate/lab.rs", "").module(), Some("evaluate"));
    let imported: Vec<_> = file.code().flat_map(|(_, line)| imports(line)).collect();
    assert_eq!(imported, ["net", "http", "order"]);
    assert_eq!(imports("use crate::{net, http};").collect::<Vec<_>>(), [""], "in no layer");
    let code = "use crate::a::{b, c as d};\nuse super::super::e::F;\npub(in crate::g) fn h();";
    assert_eq!(paths(code, "crate::"), [["a", "b"], ["a", "c"]]);
    assert_eq!(paths(code, "super::"), [["super", "e", "F"]]);
    let folder = [
        source("src/a/mod.rs", "mod b;\nuse b::B;"),
        source("src/a/b.rs", "use super::{Thing, c};"),
        source("src/a/c/mod.rs", "use crate::net;"),
        source("src/a/c/d.rs", "use super::super::b::B;"),
    ];
    let uses = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let expected = [("b", uses(&["c", "mod"])), ("c", uses(&["b"])), ("mod", uses(&["b"]))];
    let expected: BTreeMap<_, _> = expected.map(|(name, uses)| (name.to_owned(), uses)).into();
    assert_eq!(imports_within("src/a", &folder), expected);
    assert_eq!(file.find("crate::net"), ["src/order/log.rs:2: use crate::net;"]);
    assert!(file.find("unwrap").is_empty(), "tests may");
}
