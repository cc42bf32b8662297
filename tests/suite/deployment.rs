//! The files that people deploy with: they are what their programs take, name nothing that is not there, and hold no secret.

use std::path::PathBuf;
use std::process::Command;

use api::cli;
use api::settings::TABLE;
use serde_json::Value;

use crate::clients::tools;

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs a program in the repository's root; what it wrote.
#[track_caller]
fn run(program: PathBuf, arguments: &[&str]) -> String {
    let runtime = tools().join("node-runtime/bin");
    let path = format!("{}:{}", runtime.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new(&program).args(arguments).current_dir(root()).env("PATH", path).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}: run `tests/run`", program.display()));
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{} {arguments:?}: {out}{errors}", program.display());
    out.into_owned()
}

fn compose() -> Value {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open('docker-compose.yml'))))";
    let text = run(tools().join("deployment/bin/python"), &["-c", script]);
    serde_json::from_str(&text).expect("JSON")
}

fn services(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    compose["services"].as_object().expect("services").iter()
}

fn is_a_setting(variable: &str) -> bool {
    TABLE.iter().any(|row| row.variable() == variable)
}

/// What is run is a command line of ours.
#[track_caller]
fn is_a_command(words: &[String]) {
    let line = std::iter::once("keyrack".to_owned()).chain(words.iter().cloned());
    cli::command().try_get_matches_from(line).unwrap_or_else(|error| panic!("{words:?}: {error}"));
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|word| word.as_str().expect("text").to_owned()).collect()
}

#[test]
fn the_compose_file_is_what_compose_takes() {
    run(tools().join("node/node_modules/.bin/dclint"), &["--max-warnings", "0", "docker-compose.yml"]);
    let compose = compose();
    let names: Vec<_> = services(&compose).map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["keyrack-1", "keyrack-2", "postgres", "proxy", "redis", "sample"]);
    for (name, service) in services(&compose) {
        // Ours has the one of its image.
        let checked = service["healthcheck"]["test"].is_array() || service["build"] == ".";
        assert!(checked, "{name} has no health check");
        for awaited in service["depends_on"].as_object().into_iter().flat_map(|map| map.keys()) {
            assert!(names.contains(&awaited.as_str()), "{name} waits for {awaited}");
        }
    }
}

#[test]
fn what_containers_run_and_set_is_known_and_no_secret_is_written_down() {
    let compose = compose();
    for (name, service) in services(&compose) {
        if service["image"] == "keyrack:local" && service["command"].is_array() {
            is_a_command(&words(&service["command"]));
        }
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            assert!(!variable.starts_with("KEYRACK_") || is_a_setting(variable), "{name}: {variable} is no setting");
            let secret = variable.contains("SECRET") || variable.contains("PASSWORD");
            let value = value.as_str().expect("text");
            assert!(!secret || (value.starts_with("${") && value.contains(":?")), "{name}: {variable} is written down");
            // A password within an address as well.
            let password = value.split_once("://").and_then(|(_, rest)| rest.split_once('@')?.0.split_once(':'));
            assert!(password.is_none_or(|(_, password)| password.starts_with("${")), "{name}: {variable}");
        }
    }
    let required: Vec<_> = TABLE.iter().filter(|row| row.variable() == "KEYRACK_ROOT_SECRET").collect();
    assert_eq!(required.len(), 1, "the setting is called otherwise");
}

#[test]
fn the_dockerfile_is_sound_and_copies_what_the_build_needs() {
    run(tools().join("deployment/bin/hadolint"), &["Dockerfile"]);
    let dockerfile = read("Dockerfile");
    for line in dockerfile.lines() {
        let listed = |instruction: &str| {
            let rest = line.split_once(instruction)?.1;
            serde_json::from_str::<Vec<String>>(rest.trim()).ok()
        };
        if let Some(check) = listed("HEALTHCHECK").or_else(|| line.starts_with("HEALTHCHECK").then(|| listed("CMD"))?) {
            assert_eq!(check[0], "keyrack");
            is_a_command(&check[1..]);
        } else if let Some(command) = line.starts_with("CMD").then(|| listed("CMD")).flatten() {
            is_a_command(&command);
        }
        for variable in line.strip_prefix("ENV ").into_iter().flat_map(str::split_whitespace) {
            let (name, _) = variable.split_once('=').expect("NAME=value");
            assert!(is_a_setting(name), "{name} is no setting");
        }
    }
    // Cargo reads the manifest of every member and looks for every target, also of those that are not built.
    let kept: Vec<String> =
        read(".dockerignore").lines().filter_map(|line| line.strip_prefix('!')).map(str::to_owned).collect();
    let copied = tempfile::tempdir().expect("a directory");
    for path in &kept {
        let target = copied.path().join(path);
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("a directory");
        run("cp".into(), &["-r", path, target.to_str().expect("text")]);
    }
    let manifest = copied.path().join("Cargo.toml");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["metadata", "--locked", "--offline", "--no-deps", "--format-version", "1", "--manifest-path"];
    run(cargo.into(), &[&arguments[..], &[manifest.to_str().expect("text")]].concat());
}

#[test]
fn nginx_takes_its_configuration_and_never_sends_a_call_twice() {
    let text = read("deploy/nginx.conf");
    assert!(!text.contains("non_idempotent"), "a POST would be sent again");
    for needed in ["proxy_buffering off", "proxy_request_buffering off", "proxy_set_header Host $http_host"] {
        assert!(text.contains(needed), "{needed}");
    }
    // Names of containers mean nothing here.
    let here = text.replace("keyrack-1:", "127.0.0.1:").replace("keyrack-2:", "localhost:");
    let directory = tempfile::tempdir().expect("a directory");
    let pid = format!("pid {}/nginx.pid;", directory.path().display());
    let path = directory.path().join("nginx.conf");
    std::fs::write(&path, here.replace("pid /tmp/nginx.pid;", &pid)).expect("it is written");
    run("nginx".into(), &["-t", "-c", path.to_str().expect("text")]);
}

#[test]
fn the_unit_runs_a_command_of_ours_with_settings_of_ours() {
    let unit = read("deploy/systemd/keyrack.service");
    let command =
        unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/keyrack ")).expect("a command");
    is_a_command(&command.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let file = unit.lines().find_map(|line| line.strip_prefix("EnvironmentFile=")).expect("a file");
    assert!(read("docs/deployment.md").contains(file), "nobody is told to write {file}");
    for line in read("deploy/systemd/keyrack.env").lines() {
        let Some((name, _)) = line.trim_start_matches('#').split_once('=').filter(|(name, _)| !name.contains(' '))
        else {
            continue;
        };
        assert!(is_a_setting(name), "{name} is no setting");
    }
}

/// What systemd itself says of the unit. The program stands elsewhere here.
#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let unit = read("deploy/systemd/keyrack.service");
    let verify = |unit: &str| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("keyrack.service");
        std::fs::write(&path, unit.replace("/usr/local/bin/keyrack", env!("CARGO_BIN_EXE_keyrack_under_test")))
            .expect("it is written");
        let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output();
        let output = output.unwrap_or_else(|error| panic!("systemd-analyze: {error}: run `tests/run`"));
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    // Of other units of the machine it may say what it likes.
    let ours =
        |said: String| said.lines().filter(|line| line.contains("keyrack")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(ours(verify(&unit)), [""; 0]);
    for (right, wrong) in
        [("Type=exec", "Type=often"), ("NoNewPrivileges=", "NoOldPrivileges="), ("serve", "serve\nExec=")]
    {
        assert!(!ours(verify(&unit.replacen(right, wrong, 1))).is_empty(), "{wrong} goes unnoticed");
    }
}
