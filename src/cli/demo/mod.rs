//! `recalld demo`: a daemon on a temporary directory, a scripted day of calls over the real TCP port, and the stream of
//! context changes, told to somebody who has never seen it.
//!
//! | module | what lives there |
//! |---|---|
//! | `house` | the directory, the ports and the daemon as a child process |
//! | `day` | what the switch does and what is expected of it, step by step |
//! | `scenes` | the script |
//! | `screen` | how it is shown |

mod day;
mod house;
mod scenes;
mod screen;

use anyhow::Context;

use self::day::Day;
use self::house::House;
use self::screen::{Pace, Screen};
use super::simulate::callers;
use super::{block_on, interrupted};

/// Arguments of `demo`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// End after the scripted day, with exit code 1 if anything did not come out as expected.
    #[arg(long)]
    once: bool,
    /// Listen on this port and the two after it; without it on 9070, 8070 and 9072, or on free ones.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_533))]
    port_base: Option<u16>,
}

/// Plays the day; afterwards goes on showing what happens, until it is interrupted or at once with `--once`.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    block_on(async {
        let mut house = House::build(arguments.port_base)?;
        let result = tokio::select! {
            result = play(&mut house, arguments.once) => result,
            () = interrupted() => {
                if arguments.once { Err(anyhow::anyhow!("interrupted before the day was over")) } else { Ok(()) }
            }
        };
        house.stop().await;
        result
    })
}

async fn play(house: &mut House, once: bool) -> anyhow::Result<()> {
    let screen = Screen::new(if once { Pace::BRISK } else { Pace::CALM });
    screen.opening()?;
    house.start().await?;
    house.introduce(&screen)?;
    let mut day = Day::begin(house, &screen).await?;
    scenes::play(&mut day).await.context("the day was cut short")?;
    day.outcome()?;
    if once {
        return screen.tell("Without --once the demo goes on running after the day, to be tried by hand.");
    }
    by_hand(day.house(), &screen)?;
    day.follow().await
}

/// How to try it.
fn by_hand(house: &House, screen: &Screen) -> anyhow::Result<()> {
    let program = house::program();
    screen.heading("Try it by hand")?;
    screen.tell(
        "In another terminal; this one goes on showing what happens. Ctrl-C ends the demo and removes its directory.",
    )?;
    screen.command(
        "be the switch: Anna calls again, and what is set is remembered",
        &format!(
            "{program} simulate call --switch {} --caller {} --set language=it --lifetime user --for 30s",
            house.switch(),
            callers::FIRST
        ),
    )?;
    screen.command(
        "be the voice app: which calls are up, meanwhile?",
        &format!(
            "curl -H 'Authorization: Bearer {}' 'http://{}/v1/calls?instance_id={}'",
            house.api_key(),
            house.api(),
            house::RELEASE
        ),
    )
}
