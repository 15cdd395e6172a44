//! The scenarios that the lab carries in its binary.

/// The text that `lab new` writes: a short scenario with comments.
pub fn template_text() -> &'static str {
    include_str!("template.toml")
}

/// Names and texts of the scenarios that run without a file, in the order in
/// which they are listed.
pub fn built_in() -> &'static [(&'static str, &'static str)] {
    &[
        ("iot-50k", include_str!("../../../scenarios/iot-50k.toml")),
        ("payments", include_str!("../../../scenarios/payments.toml")),
        ("cache-invalidation", include_str!("../../../scenarios/cache-invalidation.toml")),
    ]
}
