//! temp
use clap::Parser;
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: meshaudit::cli::resets::ResetsArgs,
    #[arg(short, value_enum, default_value = "chart")]
    output: meshaudit::cli::resets::ResetsOutput,
    #[arg(long, default_value_t = 80)]
    width: usize,
    #[arg(long)]
    color: bool,
}
fn main() {
    let cli = Cli::parse();
    match meshaudit::cli::resets::run(&cli.args, cli.output, cli.width, cli.color) {
        Ok(t) => print!("{t}"),
        Err(e) => eprintln!("error: {e}"),
    }
}
