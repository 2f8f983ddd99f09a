//! `debug-log`, on real Envoys.
