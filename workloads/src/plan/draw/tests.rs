//! The draws against their definitions.

use broker_contract::SeedStream;
use proptest::prelude::*;

use super::*;

fn mean_and_deviation(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        sum += value;
        squares += value * value;
    }
    let mean: f64 = sum / count;
    (mean, (squares / count - mean * mean).sqrt())
}

proptest! {
    #[test]
    fn ln_is_the_logarithm(x in prop_oneof![1e-300f64..1e-3, 1e-3f64..1e3, 1e3f64..1e300]) {
        let wanted = x.ln();
        prop_assert!((ln(x) - wanted).abs() <= 4e-15 * wanted.abs().max(1.0), "{x} {wanted}");
    }

    #[test]
    fn exp_is_the_exponential(x in -690.0f64..690.0) {
        let wanted = x.exp();
        prop_assert!((exp(x) / wanted - 1.0).abs() <= 4e-15, "{x} {wanted}");
    }

    #[test]
    fn below_is_below(bound in 1u64.., seed in 0u64..) {
        let mut rng = SeedStream::new(seed).rng();
        prop_assert!(below(&mut rng, bound) < bound);
        let bound = (bound as u32).max(1);
        prop_assert!(below_u32(&mut rng, bound) < bound);
    }
}

#[test]
fn ends_of_the_functions() {
    assert_eq!(ln(1.0), 0.0);
    assert_eq!(exp(0.0), 1.0);
    assert_eq!(exp(-1e9), 0.0);
    assert!(exp(1e9).is_finite());
    assert_eq!(below(&mut SeedStream::new(1).rng(), 0), 0);
}

#[test]
fn exponential_and_normal_have_their_moments() {
    let mut rng = SeedStream::new(5).rng();
    let (mean, deviation) = mean_and_deviation((0..200_000).map(|_| exponential(&mut rng)));
    assert!((mean - 1.0).abs() < 0.01 && (deviation - 1.0).abs() < 0.02, "{mean} {deviation}");
    let (mean, deviation) = mean_and_deviation((0..200_000).map(|_| normal(&mut rng)));
    assert!(mean.abs() < 0.01 && (deviation - 1.0).abs() < 0.01, "{mean} {deviation}");
}

#[test]
fn half_of_log_normal_is_below_its_median() {
    let mut rng = SeedStream::new(6).rng();
    let below = (0..100_000).filter(|_| log_normal(&mut rng, 200.0, 0.7) < 200.0).count();
    assert!((49_000..51_000).contains(&below), "{below}");
}

/// Chi-squared over the first ranks and the rest, against the definition.
fn check_zipf(ranks: u32, exponent: f64) {
    let zipf = Zipf::new(ranks, exponent);
    let mut rng = SeedStream::new(u64::from(ranks)).rng();
    let draws = 200_000;
    let shown = ranks.min(20) as usize;
    let mut seen = vec![0u32; shown + 1];
    for _ in 0..draws {
        let rank = zipf.draw(&mut rng);
        assert!(rank < ranks);
        seen[(rank as usize).min(shown)] += 1;
    }
    let weight = |rank: u32| f64::from(rank + 1).powf(-exponent);
    let total: f64 = (0..ranks).map(weight).sum();
    let mut chi_squared = 0.0;
    let mut left = 1.0;
    for (rank, count) in seen.iter().enumerate() {
        let share = if rank < shown { weight(rank as u32) / total } else { left };
        left -= share;
        let wanted = share * f64::from(draws);
        if wanted > 5.0 {
            chi_squared += (f64::from(*count) - wanted).powi(2) / wanted;
        }
    }
    // 20 degrees of freedom: 45 is exceeded by chance once in a thousand times.
    assert!(chi_squared < 45.0, "{ranks} ranks, exponent {exponent}: {chi_squared}");
}

#[test]
fn zipf_ranks_have_their_weights() {
    for exponent in [0.0, 0.5, 0.99, 1.0, 1.5, 3.0] {
        check_zipf(1, exponent);
        check_zipf(7, exponent);
        check_zipf(1_000, exponent);
        // Past the size of the table.
        check_zipf(100_000, exponent);
    }
}

#[test]
fn zipf_takes_any_exponent() {
    for exponent in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
        for ranks in [0, 1, 100, 1 << 20, u32::MAX] {
            let rank = Zipf::new(ranks, exponent).draw(&mut SeedStream::new(3).rng());
            assert!(rank < ranks.max(1));
        }
    }
}
