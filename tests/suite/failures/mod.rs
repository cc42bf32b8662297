//! The table of `docs/failures.md`: every cell is driven here, and what is seen is compared with what it says. While a fault
//! lasts, somebody asks all the time with a key that works and with what is none; after it, what was promised is looked for.
//!
//! Faults of one kind are driven side by side, since most of their time is waiting for leases to end.

mod database;
mod drive;
mod node;
mod reckoning;
mod redis;
mod site;
mod table;
mod upstream;
mod watch;

use futures_util::future::LocalBoxFuture;

/// A fault's name in the table, and what drives it.
type Driver = (&'static str, fn() -> LocalBoxFuture<'static, ()>);

/// Drives faults side by side, each to its end, whatever becomes of the others.
fn side_by_side(faults: &[Driver]) {
    let drive = |drive: fn() -> LocalBoxFuture<'static, ()>| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(drive());
    };
    let driven: Vec<_> = faults
        .iter()
        .map(|(name, fault)| {
            (
                name,
                std::thread::spawn({
                    let fault = *fault;
                    move || drive(fault)
                }),
            )
        })
        .collect();
    let ended = driven.into_iter().map(|(name, driven)| (name, driven.join()));
    let wrong: Vec<_> = ended.filter(|(_, ended)| ended.is_err()).map(|(name, _)| name).collect();
    assert!(wrong.is_empty(), "not as the table says: {wrong:?}");
}

#[test]
fn the_table_has_the_faults_that_are_driven_and_no_others() {
    let driven = [&database::FAULTS[..], &redis::FAULTS, &node::FAULTS, &upstream::FAULTS].concat();
    let driven: Vec<&str> = driven.iter().map(|(name, _)| *name).collect();
    let told: Vec<String> = table::rows().into_iter().map(|row| row.fault).collect();
    assert_eq!(told, driven);
}

#[test]
fn what_the_table_says_of_a_database_that_is_not_well_is_so() {
    side_by_side(&database::FAULTS);
}

#[test]
fn what_the_table_says_of_redis_and_of_servers_that_are_not_well_is_so() {
    side_by_side(&[&redis::FAULTS[..], &upstream::FAULTS].concat());
}

#[test]
fn what_the_table_says_of_a_node_that_is_not_well_is_so() {
    side_by_side(&node::FAULTS);
}
