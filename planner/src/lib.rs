//! What should happen next.
