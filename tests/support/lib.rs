//! Support for the tests: real servers on real sockets, actors, and upstreams that say what they saw.
