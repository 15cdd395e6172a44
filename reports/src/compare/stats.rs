//! What two small sets of runs allow to be said.
//!
//! The run is the replicate. Messages of one run share its luck, so however many
//! there are, they say nothing about the next run. Two questions are asked of two
//! sets of runs: could chance alone have ordered them like this
//! ([`mann_whitney`]), and how large is the difference ([`bootstrap`])?

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Resamples behind an interval. Its ends then vary by well under a tenth of
/// its width from one stream of random numbers to another.
const RESAMPLES: usize = 4_000;

/// Up to this many runs on both sides together the distribution of the rank sum
/// is counted out; beyond, the normal approximation is good to three decimals.
const EXACT_RUNS: usize = 60;

/// The median; of an even number, the middle of the two in the middle. `None`
/// of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(half)) {
        (_, None) => None,
        (1, Some(middle)) => Some(*middle),
        // Halved first, so that two huge figures do not overflow.
        (_, Some(upper)) => Some(sorted[half - 1] / 2.0 + upper / 2.0),
    }
}

/// Two-sided p-value of the Mann-Whitney rank test of `a` against `b`: of all ways
/// to deal the pooled values out to sides of these sizes, twice the share whose
/// rank sum is at least as extreme as the one seen, to the side on which it is
/// (with ties the two sides can differ). Ties share their mean rank, and are
/// counted exactly. 1 where a side is empty.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    let ranks = doubled_ranks(a, b);
    if a.is_empty() || b.is_empty() {
        return 1.0;
    }
    let seen: u64 = ranks[..a.len()].iter().sum();
    if ranks.len() <= EXACT_RUNS {
        exact(&ranks, a.len(), seen)
    } else {
        normal(&ranks, a.len(), seen)
    }
}

/// The smallest p-value that any outcome of `n` against `m` runs can have.
pub fn least_p(n: usize, m: usize) -> f64 {
    if n == 0 || m == 0 {
        return 1.0;
    }
    // Two of all ways to choose n of n + m are extreme: all low, all high.
    let ways = (1..=n).fold(1.0, |ways, k| ways * (m + k) as f64 / k as f64);
    (2.0 / ways).min(1.0)
}

/// Runs of each side, the same number on both, from which on the rank test can
/// reach a p-value below `alpha`; `None` if 100 do not.
pub fn runs_needed(alpha: f64) -> Option<usize> {
    (1..=100).find(|runs| least_p(*runs, *runs) < alpha)
}

/// Ranks of the pooled values times two, so that the mean rank of a tie is
/// whole; those of `a` first.
fn doubled_ranks(a: &[f64], b: &[f64]) -> Vec<u64> {
    let pooled: Vec<f64> = a.iter().chain(b).copied().collect();
    pooled
        .iter()
        .map(|value| {
            let below = pooled.iter().filter(|other| other.total_cmp(value).is_lt()).count();
            let equal = pooled.iter().filter(|other| other.total_cmp(value).is_eq()).count();
            (2 * below + equal + 1) as u64
        })
        .collect()
}

fn exact(ranks: &[u64], chosen: usize, seen: u64) -> f64 {
    let total: usize = ranks.iter().sum::<u64>() as usize;
    // ways[k][s]: in how many ways k of the ranks so far sum to s.
    let mut ways = vec![vec![0.0_f64; total + 1]; chosen + 1];
    ways[0][0] = 1.0;
    for (so_far, rank) in ranks.iter().enumerate() {
        let rank = *rank as usize;
        for k in (1..=chosen.min(so_far + 1)).rev() {
            let (fewer, these) = ways.split_at_mut(k);
            for sum in (rank..=total).rev() {
                these[0][sum] += fewer[k - 1][sum - rank];
            }
        }
    }
    let share = |sums: &[f64]| sums.iter().sum::<f64>();
    let (seen, of) = (seen as usize, &ways[chosen]);
    let tail = share(&of[..=seen]).min(share(&of[seen..]));
    (2.0 * tail / share(of)).min(1.0)
}

/// The normal approximation, with ties and a continuity correction.
fn normal(ranks: &[u64], chosen: usize, seen: u64) -> f64 {
    let (n, m) = (chosen as f64, (ranks.len() - chosen) as f64);
    let all = n + m;
    let mean = all + 1.0;
    let spread: f64 = ranks.iter().map(|rank| (*rank as f64 - mean).powi(2)).sum::<f64>() / 4.0;
    let variance = n * m * spread / (all * (all - 1.0));
    if variance <= 0.0 {
        return 1.0;
    }
    let away = (seen as f64 / 2.0 - n * (all + 1.0) / 2.0).abs();
    let z = (away - 0.5).max(0.0) / variance.sqrt();
    (2.0 * upper_tail(z)).min(1.0)
}

/// The share of a standard normal distribution above `z`, for `z` of at least 0;
/// the error is below 8e-8 (Abramowitz and Stegun, 26.2.17).
fn upper_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let factors = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let series = factors.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * series
}

/// How the median changes from one side to the other, as a 95 % interval of the
/// relative change (0.1: 10 % more), by the percentile bootstrap over runs.
///
/// The same `salt` gives the same interval. `None` with fewer than two runs on a
/// side, and where a median of `a` among the resamples is not above zero, since
/// nothing is relative to that.
pub fn bootstrap(a: &[f64], b: &[f64], salt: &str) -> Option<[f64; 2]> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed_of(salt));
    let mut changes = Vec::with_capacity(RESAMPLES);
    let (mut drawn_a, mut drawn_b) = (vec![0.0; a.len()], vec![0.0; b.len()]);
    for _ in 0..RESAMPLES {
        drawn_a.fill_with(|| a[rng.random_range(0..a.len())]);
        drawn_b.fill_with(|| b[rng.random_range(0..b.len())]);
        changes.push(change(median(&drawn_a)?, median(&drawn_b)?)?);
    }
    changes.sort_by(f64::total_cmp);
    let at = |share: f64| changes[((RESAMPLES - 1) as f64 * share).round() as usize];
    Some([at(0.025), at(0.975)])
}

/// By which share `b` is more than `a`; `None` where `a` is not above zero or
/// the change is not finite.
pub fn change(a: f64, b: f64) -> Option<f64> {
    let change = b / a - 1.0;
    (a > 0.0 && change.is_finite()).then_some(change)
}

/// Each figure has a stream of its own, so that one more row in a comparison
/// does not move the intervals of the others. FNV-1a.
fn seed_of(salt: &str) -> u64 {
    salt.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every way to choose `chosen` of the pooled values, one by one.
    fn brute_force(a: &[f64], b: &[f64]) -> f64 {
        let ranks = doubled_ranks(a, b);
        let seen: u64 = ranks[..a.len()].iter().sum();
        let (mut below, mut above, mut all) = (0_u32, 0_u32, 0_u32);
        for subset in 0_u32..1 << ranks.len() {
            if subset.count_ones() as usize != a.len() {
                continue;
            }
            let chosen = (0..ranks.len()).filter(|at| subset >> at & 1 == 1);
            let sum: u64 = chosen.map(|at| ranks[at]).sum();
            all += 1;
            below += u32::from(sum <= seen);
            above += u32::from(sum >= seen);
        }
        (2.0 * f64::from(below.min(above)) / f64::from(all)).min(1.0)
    }

    #[test]
    fn the_least_p_values_are_the_known_ones() {
        let close = |n, m, p: f64| assert!((least_p(n, m) - p).abs() < 1e-9, "{n} {m}");
        close(3, 3, 0.1);
        close(4, 4, 2.0 / 70.0);
        close(5, 5, 2.0 / 252.0);
        close(1, 1, 1.0);
        close(0, 9, 1.0);
        assert_eq!(runs_needed(0.05), Some(4));
        assert_eq!(runs_needed(0.01), Some(5));
    }

    #[test]
    fn separated_sides_reach_the_least_p_value() {
        let (low, high) = ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]);
        assert!((mann_whitney(&low, &high) - least_p(5, 5)).abs() < 1e-12);
        assert!((mann_whitney(&high, &low) - least_p(5, 5)).abs() < 1e-12);
        assert_eq!(mann_whitney(&[3.0; 5], &[3.0; 5]), 1.0);
        assert_eq!(mann_whitney(&[], &[3.0; 5]), 1.0);
    }

    /// Of the 126 ways to deal nine ranks out to four and five, U is at most 4 or
    /// at least 16 in 24: counted by hand, 12 on each side.
    #[test]
    fn a_value_counted_by_hand() {
        let a = [1.0, 2.0, 3.0, 8.0];
        let b = [4.0, 5.0, 6.0, 7.0, 9.0];
        assert!((mann_whitney(&a, &b) - 24.0 / 126.0).abs() < 1e-12);
    }

    #[test]
    fn the_normal_approximation_meets_the_exact_value() {
        let a: Vec<f64> = (0..30).map(|at| f64::from(at * 7 % 40)).collect();
        let b: Vec<f64> = (0..30).map(|at| f64::from(at * 11 % 40) + 4.0).collect();
        let ranks = doubled_ranks(&a, &b);
        let seen = ranks[..30].iter().sum();
        let (exact, normal) = (exact(&ranks, 30, seen), normal(&ranks, 30, seen));
        assert!((exact - normal).abs() < 0.003, "{exact} {normal}");
        assert!((upper_tail(1.959_964) - 0.025).abs() < 1e-6);
    }

    #[test]
    fn an_interval_holds_the_change_and_repeats() {
        let a = [10.0, 10.4, 9.8, 10.1, 10.2];
        let b = [12.0, 12.3, 11.7, 12.2, 11.9];
        let [low, high] = bootstrap(&a, &b, "p99").expect("enough runs");
        assert!(0.13 < low && low < 0.19 && 0.2 < high && high < 0.26, "{low} {high}");
        assert_eq!(bootstrap(&a, &b, "p99"), Some([low, high]));
        assert_eq!(bootstrap(&[1.0], &b, "p99"), None);
        assert_eq!(bootstrap(&[0.0; 5], &b, "p99"), None);
    }

    proptest! {
        #[test]
        fn the_exact_test_agrees_with_counting(
            // Few distinct values, so that ties are common.
            a in proptest::collection::vec(0_u8..6, 1..7),
            b in proptest::collection::vec(0_u8..6, 1..7),
        ) {
            let float = |side: &[u8]| side.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
            let (a, b) = (float(&a), float(&b));
            let p = mann_whitney(&a, &b);
            prop_assert!((p - brute_force(&a, &b)).abs() < 1e-9, "{p}");
            prop_assert!((p - mann_whitney(&b, &a)).abs() < 1e-9, "the sides are alike");
            prop_assert!(p >= least_p(a.len(), b.len()) - 1e-9 && p <= 1.0);
        }

        #[test]
        fn only_the_order_counts(
            a in proptest::collection::vec(1_u32..1_000_000, 1..12),
            b in proptest::collection::vec(1_u32..1_000_000, 1..12),
        ) {
            let map = |side: &[u32], f: fn(f64) -> f64| {
                side.iter().map(|v| f(f64::from(*v))).collect::<Vec<f64>>()
            };
            let plain = mann_whitney(&map(&a, |v| v), &map(&b, |v| v));
            let squared = mann_whitney(&map(&a, |v| v * v), &map(&b, |v| v * v));
            prop_assert_eq!(plain, squared);
        }

        #[test]
        fn an_interval_stays_within_the_extremes(
            a in proptest::collection::vec(1.0_f64..1e6, 2..8),
            b in proptest::collection::vec(1.0_f64..1e6, 2..8),
        ) {
            let [low, high] = bootstrap(&a, &b, "x").expect("positive figures");
            let least = |side: &[f64]| side.iter().copied().fold(f64::INFINITY, f64::min);
            let most = |side: &[f64]| side.iter().copied().fold(0.0, f64::max);
            prop_assert!(low <= high);
            prop_assert!(low >= least(&b) / most(&a) - 1.0 - 1e-9);
            prop_assert!(high <= most(&b) / least(&a) - 1.0 + 1e-9);
        }

        #[test]
        fn any_figures_are_taken(
            a in proptest::collection::vec(proptest::num::f64::ANY, 0..6),
            b in proptest::collection::vec(proptest::num::f64::ANY, 0..6),
        ) {
            let p = mann_whitney(&a, &b);
            prop_assert!((0.0..=1.0).contains(&p));
            let _ = (median(&a), bootstrap(&a, &b, ""));
        }
    }
}
