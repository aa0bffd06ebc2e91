//! A failing program made smaller as long as it still fails.

/// Takes out halves, quarters, and so on down to single steps, then puts simpler steps in the place of others, until
/// nothing of that leaves a program that fails.
pub(super) fn shrink<S: Clone>(
    program: &[S],
    simpler: impl Fn(&S) -> Option<S>,
    mut fails: impl FnMut(&[S]) -> bool,
) -> Vec<S> {
    let mut smallest = program.to_vec();
    loop {
        let steps = smallest.len();
        let mut chunk = steps.div_ceil(2);
        while chunk > 0 {
            let mut from = 0;
            while from < smallest.len() {
                let to = (from + chunk).min(smallest.len());
                let without = [&smallest[..from], &smallest[to..]].concat();
                if fails(&without) {
                    smallest = without;
                } else {
                    from = to;
                }
            }
            chunk /= 2;
        }
        let mut is_simpler = false;
        for at in 0..smallest.len() {
            while let Some(step) = simpler(&smallest[at]) {
                let mut with = smallest.clone();
                with[at] = step;
                if !fails(&with) {
                    break;
                }
                smallest = with;
                is_simpler = true;
            }
        }
        if smallest.len() == steps && !is_simpler {
            return smallest;
        }
    }
}

#[test]
fn of_many_steps_those_are_left_that_fail_together() {
    let program: Vec<u32> = (0..200).collect();
    let mut runs = 0;
    let smallest = shrink(
        &program,
        |_| None,
        |steps| {
            runs += 1;
            let place = |step| steps.iter().position(|known| *known == step);
            matches!((place(17), place(171)), (Some(first), Some(then)) if first < then)
        },
    );
    assert_eq!(smallest, [17, 171]);
    assert!(runs < 200, "{runs} runs for two steps");
}

#[test]
fn steps_that_have_to_stay_become_as_simple_as_they_can() {
    let smallest = shrink(&[9_u32, 4, 7], |step| step.checked_sub(1), |steps| steps.iter().sum::<u32>() >= 6);
    assert_eq!(smallest, [6]);
}
