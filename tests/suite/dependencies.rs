//! Who may depend on whom: `api → domain ← infra`. The rules know no socket, and nothing but `api` knows both sides.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, MetadataCommand};

fn direct(package: &str) -> BTreeSet<String> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    let package = metadata.packages.iter().find(|found| found.name.as_str() == package).expect("the package");
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == DependencyKind::Normal)
        .map(|dependency| dependency.name.clone())
        .collect()
}

#[test]
fn domain_does_no_io_and_knows_no_framework() {
    let found = direct("keyrack-domain");
    for forbidden in [
        "tokio",
        "actix-web",
        "sea-orm",
        "sqlx",
        "utoipa",
        "reqwest",
        "awc",
        "keyrack-infra",
        "keyrack",
        "keyrack-migration",
    ] {
        assert!(!found.contains(forbidden), "domain depends on {forbidden}");
    }
}

#[test]
fn infra_knows_the_domain_and_not_the_api() {
    let found = direct("keyrack-infra");
    assert!(found.contains("keyrack-domain"));
    for forbidden in ["keyrack", "actix-web", "utoipa"] {
        assert!(!found.contains(forbidden), "infra depends on {forbidden}");
    }
}

#[test]
fn only_infra_knows_the_schema() {
    assert!(!direct("keyrack").contains("sea-orm") && !direct("keyrack").contains("sqlx"));
    assert!(direct("keyrack-infra").contains("keyrack-migration"));
    assert!(!direct("keyrack-domain").contains("keyrack-migration"));
}

#[test]
fn only_composition_and_the_edge_name_adapters_of_ports() {
    // What implements a port is chosen in compose.rs; elsewhere `api` may use infra's types, not its stores.
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../api/src");
    let mut offenders = Vec::new();
    visit(std::path::Path::new(root), &mut |path, text| {
        if text.contains("infra::db::Sql") && !path.ends_with("compose.rs") {
            offenders.push(path.display().to_string());
        }
    });
    assert!(offenders.is_empty(), "{offenders:?}");
}

fn visit(directory: &std::path::Path, each: &mut impl FnMut(&std::path::Path, &str)) {
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            visit(&path, each);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            each(&path, &std::fs::read_to_string(&path).expect("a source file"));
        }
    }
}
