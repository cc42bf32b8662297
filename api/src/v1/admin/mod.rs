//! What instance admins do: people whom an operator on the machine made so (`keyrack admin grant-instance-admin`).

pub mod get_key;
pub mod list_keys;
pub mod revoke_key;
mod shapes;
