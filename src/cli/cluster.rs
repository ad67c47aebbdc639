//! `kafka-cluster.sh`: the cluster's id, its brokers, and how it forgets one; flags and output as Kafka 4.3 has them.

use std::process::ExitCode;

use super::connect::ServerArgs;
use crate::client::{ClientError, Cluster};
use crate::wire::messages::*;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connect: ServerArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Print the cluster's id
    ClusterId,
    /// Forget a broker that will not come back; one that lives registers again
    Unregister {
        /// The broker
        #[arg(long, short = 'i')]
        id: i32,
    },
    /// List the brokers with their addresses
    ListEndpoints {
        /// Those too that are not heard of
        #[arg(long)]
        include_fenced_brokers: bool,
    },
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connect.cluster("admin")?;
    match args.action {
        Action::ClusterId => {
            let answer = cluster.metadata(Some(&[]), false)?;
            println!(
                "Cluster ID: {}",
                answer.cluster_id.as_ref().map(text).unwrap_or_default()
            );
        }
        Action::Unregister { id } => {
            let request = UnregisterBrokerRequestData::default().with_broker_id(id);
            let answer = cluster.controller()?.call(&request)?;
            ClientError::check(
                answer.error_code,
                answer.error_message.as_ref().map(|text| text.as_str()),
            )?;
            println!("Broker {id} is no longer registered.");
        }
        Action::ListEndpoints { include_fenced_brokers } => {
            let mut brokers = describe(&mut cluster, include_fenced_brokers)?.brokers;
            brokers.sort_by_key(|broker| broker.broker_id);
            endpoints(&brokers).iter().for_each(|line| println!("{line}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(cluster: &mut Cluster, include_fenced: bool) -> anyhow::Result<DescribeClusterResponseData> {
    const BROKERS: i8 = 1;
    let request = DescribeClusterRequestData::default()
        .with_endpoint_type(BROKERS)
        .with_include_fenced_brokers(include_fenced);
    let answer = cluster.controller()?.call(&request)?;
    ClientError::check(
        answer.error_code,
        answer.error_message.as_ref().map(|text| text.as_str()),
    )?;
    Ok(answer)
}

fn endpoints(brokers: &[DescribeClusterBroker]) -> Vec<String> {
    const RACK_MIN: usize = 10;
    let rack = |broker: &DescribeClusterBroker| broker.rack.as_ref().map_or("null".to_owned(), text);
    let host_width = brokers
        .iter()
        .map(|broker| broker.host.as_str().len())
        .max()
        .unwrap_or(0);
    let named = brokers.iter().filter_map(|broker| broker.rack.as_ref());
    let rack_width = named.map(|rack| rack.as_str().len()).max().unwrap_or(RACK_MIN);
    let line = |[id, host, port, rack, state, kind]: [&str; 6]| {
        format!("{id:<10} {host:<host_width$} {port:<10} {rack:<rack_width$} {state:<10} {kind:<15}")
    };
    let header = line(["ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE"]);
    let of_broker = |broker: &DescribeClusterBroker| {
        let state = if broker.is_fenced { "fenced" } else { "unfenced" };
        let (id, port) = (broker.broker_id.to_string(), broker.port.to_string());
        line([&id, broker.host.as_str(), &port, &rack(broker), state, "broker"])
    };
    std::iter::once(header).chain(brokers.iter().map(of_broker)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Kafka's tool printed them.
    #[test]
    fn columns_are_as_wide_as_kafkas() {
        let broker = DescribeClusterBroker::default()
            .with_broker_id(1)
            .with_host(kafka_string("127.0.0.1"))
            .with_port(39092);
        assert_eq!(
            endpoints(&[broker]),
            [
                "ID         HOST      PORT       RACK       STATE      ENDPOINT_TYPE  ",
                "1          127.0.0.1 39092      null       unfenced   broker         ",
            ]
        );
    }
}
