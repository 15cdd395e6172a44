//! Costs from sums: least squares without negative costs.

/// Rounds of the solver; each halves what is left of the error many times over
/// for tables of this size.
const ROUNDS: usize = 20_000;

/// The non-negative costs `x` for which `rows[i] . x` comes closest to
/// `totals[i]`, each row weighed by its total, so that a small workload counts as
/// much as a large one. Columns that are zero everywhere cost nothing.
///
/// # Panics
/// If there are not as many totals as rows.
pub fn solve<const N: usize>(rows: &[[f64; N]], totals: &[f64]) -> [f64; N] {
    assert_eq!(rows.len(), totals.len(), "a total for each row");
    // Rows relative to their total: the target is then 1 everywhere.
    let rows: Vec<[f64; N]> = rows
        .iter()
        .zip(totals)
        .map(|(row, total)| row.map(|count| count / total.max(f64::MIN_POSITIVE)))
        .collect();
    let mut costs = [0.0; N];
    for _ in 0..ROUNDS {
        for column in 0..N {
            let (mut fits, mut weighs) = (0.0, 0.0);
            for row in &rows {
                let others: f64 =
                    (0..N).filter(|at| *at != column).map(|at| row[at] * costs[at]).sum();
                fits += row[column] * (1.0 - others);
                weighs += row[column] * row[column];
            }
            costs[column] = if weighs > 0.0 { (fits / weighs).max(0.0) } else { 0.0 };
        }
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn costs_that_explain_everything_are_found(
            frame_in in 50.0..500.0_f64, byte_in in 0.0..1.0_f64,
            frame_out in 10.0..500.0_f64, byte_out in 0.0..1.0_f64,
        ) {
            let truth = [frame_in, byte_in, frame_out, byte_out];
            let rows = [
                [1.0, 150.0, 1.0, 140.0],
                [1.0, 150.0, 10.0, 1_400.0],
                [1.0, 4_200.0, 1.0, 4_190.0],
                [1.0, 4_200.0, 10.0, 41_900.0],
                [1.0, 150.0, 30.0, 4_200.0],
            ];
            let total = |row: &[f64; 4]| row.iter().zip(truth).map(|(n, cost)| n * cost).sum();
            let totals: Vec<f64> = rows.iter().map(total).collect();
            let found = solve(&rows, &totals);
            for (row, total) in rows.iter().zip(&totals) {
                let explained: f64 = row.iter().zip(found).map(|(n, cost)| n * cost).sum();
                prop_assert!((explained / total - 1.0).abs() < 0.02, "{found:?} for {truth:?}");
            }
            prop_assert!(found.iter().all(|cost| *cost >= 0.0));
        }
    }

    #[test]
    fn a_column_of_zeros_costs_nothing() {
        let [used, unused] = solve(&[[2.0, 0.0], [4.0, 0.0]], &[10.0, 20.0]);
        assert!((used - 5.0).abs() < 1e-9, "{used}");
        assert!(unused.abs() < 1e-9, "{unused}");
    }
}
