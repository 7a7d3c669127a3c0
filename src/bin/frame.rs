//! Sends one JSON frame to a service and prints the answer.

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::{Map, Value, json};
use std::io::{self, Read};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use toystore::config::Config;
use toystore::error::{Error, Result};
use toystore::{model::Principal, net::Transport, output, program, protocol::wanted, text};

const EXAMPLES: &str = r#"Examples, each at its default address:
  catalog            frame 127.0.0.1:8082 list
                     frame 127.0.0.1:8082 '{"method_name":"query","name":"Tux"}'
  catalog, for peers frame 127.0.0.1:9082 health_check
  replica            frame 127.0.0.1:8093 '{"method_name":"order_details","number":1}'
  replica, for peers frame 127.0.0.1:9093 '{"method_name":"missed_orders","after":0,"epoch":0}'
                     frame 127.0.0.1:9093 - < append.json

Exit code: 0 the answer has data, 1 the answer is an error, 2 no answer"#;

pub(crate) fn main() -> ExitCode {
    let address = Arg::new("address").required(true).value_name("ADDRESS").help("HOST:PORT");
    let json = Arg::new("json").value_name("JSON").default_value("health_check");
    let deadline = Arg::new("deadline").long("deadline-ms").value_name("MS").default_value("5000");
    let about = "Sends one JSON frame to a service of the store and prints the answer";
    let command = Command::new("frame").about(about).after_help(EXAMPLES).args([
        address,
        json.help("A JSON object; or a word, short for {\"method_name\":WORD}; or - to read it from standard input"),
        deadline.value_parser(value_parser!(u32)).help("Deadline for the answer"),
    ]);
    program::main(command, "", |config, arguments| {
        let answer = ask(&config, arguments)?;
        output::print(format!("{answer:#}\n"))?;
        Ok(ExitCode::from(u8::from(answer.get("data").is_none())))
    })
}

fn ask(config: &Config, arguments: &ArgMatches) -> Result<Value> {
    let given = |id| arguments.get_one::<String>(id).expect("required, or with a default").clone();
    let ms = *arguments.get_one::<u32>("deadline").expect("it has a default");
    let question = match given("json") {
        dash if dash == "-" => {
            let mut bytes = Vec::new();
            let read = io::stdin().take(1 << 23).read_to_end(&mut bytes);
            read.and_then(|_| text::decode(&bytes))
                .map_err(|e| Error::invalid(format!("cannot read standard input: {e}")))?
        }
        word if !word.contains('{') => json!({ "method_name": word }).to_string(),
        json => json,
    };
    serde_json::from_str::<Map<String, Value>>(&question)
        .map_err(|e| Error::invalid(format!("not a JSON object: {e}")))?;
    let deadline = Instant::now() + Duration::from_millis(ms.into());
    let rpc = Transport::of(config, Principal::Tool)?.rpc(&given("address"))?;
    let answer = rpc.call(question.as_bytes(), deadline, &wanted)?.payload;
    serde_json::from_slice(&answer)
        .map_err(|e| Error::unanswered(format!("the answer is not JSON: {e}")))
}
