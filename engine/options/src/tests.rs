use super::*;
use clap::{Arg, ArgAction, ArgGroup, Command};
use std::sync::atomic::{AtomicU32, Ordering};

/// A program with some options of `leat-turn`, and two that exclude each other.
fn command() -> Command {
    let option = |name: &'static str| Arg::new(name).long(name).action(ArgAction::Set);
    let port = option("port").value_name("PORT").value_parser(clap::value_parser!(u16).range(1..));
    let user = Arg::new("user").long("user").action(ArgAction::Append).value_name("NAME:PASSWORD");
    let user = user.value_parser(|text: &str| match text.contains(':') {
        true => Ok(text.to_owned()),
        false => Err(format!("{text} has no colon")),
    });
    Command::new("program")
        .args([option("config"), option("realm"), port, user, option("log"), option("certificate")])
        .arg(option("turn-secret-file").alias("old-file").conflicts_with("turn-secret"))
        .args([option("turn-secret"), option("private-key").requires("certificate")])
        .arg(Arg::new("die-with-parent").long("die-with-parent").action(ArgAction::SetTrue))
        .arg(option("relay-ports"))
        .group(ArgGroup::new("exclusive").args(["realm", "relay-ports"]))
}

struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("leat-options-{}-{number}.toml", std::process::id()));
        std::fs::write(&path, text).expect("a file");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // It is a temporary file.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The arguments that are added, or the error.
fn read(file: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Result<Vec<String>, String> {
    let file = File::new(file);
    let path = file.0.to_str().expect("UTF-8");
    let arguments: Vec<OsString> =
        ["program", "--config", path].iter().chain(arguments).map(OsString::from).collect();
    let variable = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| OsString::from(value))
    };
    let resolved = resolve(OptionsOf::Turn, &command(), &arguments, 1, &variable)
        .map_err(|error| leat_log::chain(&error).replace(path, "FILE"))?;
    let parsed = command().try_get_matches_from(&resolved.arguments);
    parsed.map_err(|error| error.to_string())?;
    let shown = resolved.arguments.iter().map(|argument| argument.to_str().expect("UTF-8").to_owned());
    Ok(shown.filter(|argument| !["program", "--config", path].contains(&argument.as_str())).collect())
}

fn error(file: &str, variables: &[(&str, &str)], arguments: &[&str]) -> String {
    read(file, variables, arguments).expect_err("refused")
}

#[test]
fn each_option_is_taken_from_the_highest_source() {
    let file = "realm = 'a'\nport = 1\nuser = ['a:1', 'a:2']\n";
    assert_eq!(read(file, &[], &[]).unwrap(), ["--port=1", "--realm=a", "--user=a:1", "--user=a:2"]);
    let variables = [("LEAT_PORT", "2"), ("LEAT_USER", "b:1, b:2"), ("LEAT_REALM", "")];
    let of_both = ["--port=2", "--realm=a", "--user=b:1", "--user=b:2"];
    assert_eq!(read(file, &variables, &[]).unwrap(), of_both, "an empty variable is none");
    let of_three = ["--port=2", "--realm=a", "--user", "c:1"];
    assert_eq!(read(file, &variables, &["--user", "c:1"]).unwrap(), of_three);
}

#[test]
fn a_flag_can_be_unset_by_a_higher_source() {
    let file = "die-with-parent = true\n";
    let flag = ["--die-with-parent"];
    assert_eq!(read(file, &[], &[]).unwrap(), flag);
    assert_eq!(read(file, &[("LEAT_DIE_WITH_PARENT", "false")], &[]).unwrap(), [""; 0]);
    assert_eq!(read(file, &[], &["--die-with-parent=false"]).unwrap(), [""; 0]);
    assert_eq!(read("", &[("LEAT_DIE_WITH_PARENT", "false")], &["--die-with-parent=true"]).unwrap(), flag);
    let why = error("", &[("LEAT_DIE_WITH_PARENT", "yes")], &[]);
    assert_eq!(why, "environment variable LEAT_DIE_WITH_PARENT: expected true or false, not \"yes\"");
}

#[test]
fn the_section_of_a_program_has_precedence_and_others_are_not_read() {
    let file = "port = 1\nhttp = '127.0.0.1:1'\n[turn]\nport = 2\n[engine]\nrtc-port = 3\n";
    assert_eq!(read(file, &[], &[]).unwrap(), ["--port=2"]);
    // A child of `leat up` reads its section, and keys that `leat up` does not have.
    let file = "port = 1\nlog = 'json'\n[turn]\nrealm = 'a'\n";
    assert_eq!(read(file, &[], &[]).unwrap(), ["--log=json", "--port=1", "--realm=a"]);
    let of_child = ["--port=1", "--realm=a"];
    assert_eq!(read(file, &[("LEAT_PARENT", "1")], &[]).unwrap(), of_child);
}

#[test]
fn a_wrong_file_is_reported_with_file_line_and_what_is_expected() {
    for (file, wanted) in [
        ("\nprot = 1", "FILE line 2: \"prot\" is not an option of any program; did you mean port?"),
        (
            "listen_ip = '::'",
            "FILE line 1: \"listen_ip\" is not an option of any program; did you mean listen-ip?",
        ),
        ("qqqqqqqq = 1", "is not an option of any program; docs/operations.md lists the options"),
        ("[trun]\nport = 1", "FILE line 1: \"trun\" is not an option of any program; did you mean turn?"),
        (
            "[turn]\nrtc-port = 1",
            "FILE line 2: \"rtc-port\" is not an option of leat-turn ([turn]); did you mean tls-port?",
        ),
        ("config = 'x'", "\"config\" is not an option"),
        (
            "\n\nport = 70000",
            "FILE line 3: port: invalid value '70000' for '--port <PORT>': 70000 is not in 1..=65535",
        ),
        ("port = true", "FILE line 1: port: expected a number, for example port = 3478"),
        ("port = 1.5", "FILE line 1: port: expected a number"),
        ("port = 0x10", "FILE line 1: port: expected a number"),
        ("realm = ['a']", "FILE line 1: realm: expected a text, for example realm = \"leat\""),
        ("realm = 2026-01-01", "FILE line 1: realm: expected a text"),
        (
            "user = [['a:b']]",
            "FILE line 1: user: expected a list of texts, for example user = [\"alice:PASSWORD\"]",
        ),
        ("die-with-parent = 'true'", "expected die-with-parent = true or die-with-parent = false"),
        ("realm = leat", "FILE line 1: "),
        ("realm = leat", "; a text needs quotes: realm = \"…\""),
        ("port = 1\nport = 2", "FILE line 2: duplicate key"),
        ("port", "FILE line 1: "),
        ("[turn\nport = 1", "FILE line 1: "),
    ] {
        let error = error(file, &[], &[]);
        assert!(error.contains(wanted), "{file}: {error}");
    }
    let missing: Vec<OsString> = ["program", "--config=/nonexistent/leat.toml"].map(OsString::from).into();
    let why = resolve(OptionsOf::Turn, &command(), &missing, 1, &|_| None).err().expect("missing");
    assert_eq!(why.to_string(), "--config /nonexistent/leat.toml: cannot read it");
    let long = "#".repeat(usize::try_from(FILE_BYTES_MAX).expect("small") + 1);
    assert!(error(&long, &[], &[]).contains("it is longer than 1048576 bytes"));
}

#[test]
fn a_wrong_variable_is_reported_by_its_name_and_secrets_are_not_shown() {
    let why = error("", &[("LEAT_PORT", "0")], &[]);
    assert_eq!(
        why,
        "environment variable LEAT_PORT: invalid value '0' for '--port <PORT>': 0 is not in 1..=65535"
    );
    let why = error("", &[("LEAT_USER", "a:b,hidden")], &[]);
    let wanted =
        "environment variable LEAT_USER: invalid value '…' for '--user <NAME:PASSWORD>': … has no colon";
    assert_eq!(why, wanted);
    let why = error("user = ['a:b', 'hidden']", &[], &[]);
    assert!(why.starts_with("FILE line 1: user: invalid value '…'") && !why.contains("hidden"), "{why}");
}

#[test]
fn of_options_that_conflict_the_highest_source_stays() {
    let variables = [("LEAT_TURN_SECRET", "s")];
    assert_eq!(read("turn-secret-file = '/f'", &variables, &[]).unwrap(), ["--turn-secret=s"]);
    assert_eq!(read("", &variables, &["--turn-secret-file=/f"]).unwrap(), ["--turn-secret-file=/f"]);
    assert_eq!(read("", &variables, &["--old-file", "/f"]).unwrap(), ["--old-file", "/f"], "its former name");
    assert!(error("turn-secret-file = '/f'\nturn-secret = 's'", &[], &[]).contains("cannot be used with"));
    let why = error("relay-ports = '1-2'", &[("LEAT_REALM", "a")], &[]);
    assert_eq!(
        why,
        "the environment variable LEAT_REALM and relay-ports (FILE line 1) exclude each other: remove one of them"
    );
}

#[test]
fn options_that_need_each_other_may_have_different_sources() {
    let added = read("certificate = '/c'", &[("LEAT_PRIVATE_KEY", "/k")], &[]).unwrap();
    assert_eq!(added, ["--certificate=/c", "--private-key=/k"]);
    assert!(error("", &[("LEAT_PRIVATE_KEY", "/k")], &[]).contains("--certificate"));
}

#[test]
fn the_file_may_be_named_by_the_environment_and_help_needs_none() {
    let file = File::new("port = 1");
    let path = file.0.clone().into_os_string();
    let variable = |name: &str| (name == "LEAT_CONFIG").then(|| path.clone());
    let resolved =
        resolve(OptionsOf::Turn, &command(), &["program".into()], 1, &variable).ok().expect("valid");
    assert!(resolved.arguments.contains(&"--port=1".into()));
    let variable = |name: &str| (name == "LEAT_CONFIG").then(|| "/nonexistent".into());
    for help in ["--help", "-h", "--version"] {
        let arguments: [OsString; 2] = ["program".into(), help.into()];
        let resolved = resolve(OptionsOf::Turn, &command(), &arguments, 1, &variable).ok().expect("valid");
        assert_eq!(resolved.arguments, arguments);
    }
}

#[test]
fn the_variable_of_the_log_may_be_a_filter_as_before() {
    assert_eq!(read("log = 'json'", &[("LEAT_LOG", "debug,sfu=info")], &[]).unwrap(), ["--log=json"]);
    assert_eq!(read("log = 'json'", &[("LEAT_LOG", "text")], &[]).unwrap(), ["--log=text"]);
}

/// The table of docs/operations.md.
fn documentation() -> String {
    let mut page = "| option and key | value | programs | in the file |\n|---|---|---|---|\n".to_owned();
    for row in OPTIONS {
        let value = match row.kind {
            Kind::Flag => "–".to_owned(),
            Kind::List => format!("`{}`, list", row.form.replace('|', "` or `")),
            Kind::Text | Kind::Number => format!("`{}`", row.form.replace('|', "` or `")),
        };
        let of = OptionsOf::ALL.into_iter().filter(|program| row.is_of(*program));
        let programs = of.map(OptionsOf::section).collect::<Vec<_>>().join(", ");
        let (name, example) = (row.name, row.examples[0]);
        let line = match (name, row.kind) {
            ("config", _) => "not in the file".to_owned(),
            (_, Kind::Flag | Kind::Number) => format!("`{name} = {example}`"),
            (_, Kind::Text) => format!("`{name} = \"{example}\"`"),
            (_, Kind::List) => format!("`{name} = [\"{example}\"]`"),
        };
        page.push_str(&format!("| `{name}` | {value} | {programs} | {line} |\n"));
    }
    page
}

#[test]
fn the_documentation_has_the_table_of_options() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (before, rest) = page.split_once("<!-- options -->\n").expect("the start of the table");
    let (table, after) = rest.split_once("<!-- end of options -->").expect("the end of the table");
    let wanted = documentation();
    if std::env::var_os("LEAT_WRITE_GOLDEN").is_some() {
        let page = format!("{before}<!-- options -->\n{wanted}<!-- end of options -->{after}");
        std::fs::write(&path, page).expect("the page");
    } else {
        assert_eq!(table, wanted, "run this test with LEAT_WRITE_GOLDEN=1");
    }
}

#[test]
fn the_example_of_the_documentation_is_valid() {
    let page = include_str!("../../../docs/operations.md");
    let (_, rest) = page.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let file = ConfigFile::parse(Path::new("leat.toml"), example).ok().expect("valid");
    assert_eq!(file.entries().len(), 6);
}
