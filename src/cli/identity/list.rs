//! `usher identity list`.
use super::{
    Output,
    args::ListOptions,
    desk::{Desk, store_failed},
    record,
    table::shown,
};
use crate::{
    cli::{
        exit::Exit,
        terminal::{complain, print},
    },
    ports::registry::{Filter, Record, State},
};

/// So many are asked for at a time.
const PAGE: usize = 500;

/// Lists identities, a page of the store's at a time.
pub(super) async fn run(desk: &Desk<'_>, options: ListOptions) -> Result<Exit, Exit> {
    let ListOptions { namespace, state, limit, after } = options;
    let mut filter = Filter { namespace, state: state.map(State::from), after };
    let (mut left, mut heading) = (limit.get(), record::HEADING);
    loop {
        // One more than wanted tells whether there are more.
        let wanted = left.min(PAGE);
        let found = desk.registrar.list(&filter, wanted + 1).await;
        let mut records = found.map_err(|error| store_failed(&error))?;
        let has_more = records.len() > wanted;
        records.truncate(wanted);
        left -= records.len();
        let exit = printed(desk.output, std::mem::take(&mut heading), &records);
        let Some(last) = records.pop().filter(|_| has_more && exit == Exit::Done) else {
            return Ok(exit);
        };
        if left == 0 {
            let last = quoted(last.identity.as_str());
            // As one word, since an identity may begin as an option does.
            complain(&format!("usher: there are more; go on with --after={last}"));
            return Ok(Exit::Done);
        }
        filter.after = Some(last.identity);
    }
}

fn printed(output: Output, heading: [&str; 5], records: &[Record]) -> Exit {
    match output {
        Output::Table => print(record::overview(heading, records).trim_end()),
        Output::Json if records.is_empty() => Exit::Done,
        Output::Json => {
            let lines: Vec<_> = records.iter().map(record::brief).collect();
            print(&lines.join("\n"))
        }
    }
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain =
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte));
    if is_plain { text.to_owned() } else { format!("'{}'", shown(text).replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        assert_eq!(quoted("alice@example.com"), "alice@example.com");
        assert_eq!(quoted("a b'c$(d)"), "'a b'\\''c$(d)'");
        assert_eq!(quoted("~alice"), "'~alice'");
    }
}
