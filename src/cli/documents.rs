//! `schema`, `openapi`, `completions`, `man`: documents that the binary carries.
use super::{
    args::{Args, CompletionsOptions},
    exit::Exit,
    terminal::{complain, print},
};
use clap::CommandFactory as _;

/// Prints the JSON Schema of the configuration.
pub(super) fn schema() -> Exit {
    print(&format!("{:#}", crate::config::schema()))
}

/// Prints the `OpenAPI` document.
pub(super) fn openapi() -> Exit {
    print(crate::inbound::OPENAPI.trim_end())
}

/// Prints a shell's completion script.
pub(super) fn completions(options: &CompletionsOptions) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Args::command(), "usher", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}

/// Prints the manual page, one for all commands.
pub(super) fn man() -> Exit {
    let mut page = Vec::new();
    match manual(&mut page) {
        Ok(()) => print(String::from_utf8_lossy(&page).trim_end()),
        Err(error) => {
            complain(&format!("usher: the manual page could not be written: {error}"));
            Exit::Unavailable
        }
    }
}

fn manual(page: &mut Vec<u8>) -> std::io::Result<()> {
    let mut usher = Args::command();
    usher.build();
    let whole = clap_mangen::Man::new(usher.clone());
    whole.render_title(page)?;
    whole.render_name_section(page)?;
    whole.render_synopsis_section(page)?;
    whole.render_description_section(page)?;
    whole.render_options_section(page)?;
    parts("USHER", &usher, page)?;
    page.extend_from_slice(EXIT_STATUS.as_bytes());
    Ok(())
}

/// A section for each command below `whole`, and for theirs.
fn parts(name: &str, whole: &clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    for command in whole.get_subcommands().filter(|command| command.get_name() != "help") {
        let part = clap_mangen::Man::new(command.clone());
        let name = format!("{name} {}", command.get_name().to_uppercase());
        page.extend_from_slice(format!(".SH {name}\n").as_bytes());
        let mut text = Vec::new();
        part.render_description_section(&mut text)?;
        part.render_options_section(&mut text)?;
        part.render_extra_section(&mut text)?;
        page.extend_from_slice(String::from_utf8_lossy(&text).replace(".SH ", ".SS ").as_bytes());
        parts(&name, command, page)?;
    }
    Ok(())
}

/// The codes of [`Exit`].
const EXIT_STATUS: &str = ".SH \"EXIT STATUS\"\n\
    0 done; 1 not found; 2 wrong configuration or input; 3 refused (explain); 4 conflict; 64 usage; \
    69 something usher needs is unavailable or unfit.\n";
