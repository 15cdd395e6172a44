//! The settings of topics and of the broker, told and changed.

use broker_contract::Effects;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
};
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use kafka_protocol::protocol::StrBytes;

use super::Kafka;
use super::admin::Refused;
use super::conns::Asker;
use super::journal::Entry;
use super::topics::settings_of;

/// The number of topics among the kinds of resources.
const TOPIC: i8 = 2;
/// The number of brokers among the kinds of resources.
const BROKER_RESOURCE: i8 = 4;
/// The setting is the topic's own.
const FROM_TOPIC: i8 = 1;
/// The setting is the broker's.
const FROM_BROKER: i8 = 4;
/// The setting is the default.
const FROM_DEFAULT: i8 = 5;
/// Operations of incremental changes.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

impl Kafka {
    pub(super) fn describe_configs(
        &mut self,
        to: Asker,
        request: &DescribeConfigsRequest,
        out: &mut Effects<Self>,
    ) {
        let mut results = Vec::with_capacity(request.resources.len());
        for resource in &request.resources {
            let result = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            let wanted = |name: &str| {
                let keys = resource.configuration_keys.as_ref();
                keys.is_none_or(|keys| keys.iter().any(|key| key.as_bytes() == name.as_bytes()))
            };
            results.push(match self.settings(resource.resource_type, &resource.resource_name) {
                Ok(settings) => {
                    let settings = settings.into_iter().filter(|(name, ..)| wanted(name));
                    let entry = |(name, value, source): (String, String, i8)| {
                        DescribeConfigsResourceResult::default()
                            .with_name(StrBytes::from_string(name))
                            .with_value(Some(StrBytes::from_string(value)))
                            .with_read_only(source == FROM_BROKER)
                            .with_config_source(source)
                    };
                    result.with_configs(settings.map(entry).collect())
                }
                Err((error, text)) => result
                    .with_error_code(error.code())
                    .with_error_message(Some(StrBytes::from_string(text))),
            });
        }
        self.answer(to, DescribeConfigsResponse::default().with_results(results), out);
    }

    /// Settings of a resource: name, value, where it is from.
    fn settings(&self, kind: i8, name: &str) -> Result<Vec<(String, String, i8)>, Refused> {
        let defaults = super::LogConfig::default();
        let default_of = |name: &str| {
            defaults.entries().find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        let origin = |name: &str, value: &String| match default_of(name).as_ref() == Some(value) {
            true => FROM_DEFAULT,
            false => FROM_BROKER,
        };
        match kind {
            TOPIC => {
                let topic = self.topics.get(name).ok_or_else(|| {
                    let text = "This server does not host this topic-partition.".to_owned();
                    (ResponseError::UnknownTopicOrPartition, text)
                })?;
                let config = settings_of(&self.config, name, &topic.settings)
                    .map_err(|text| (ResponseError::InvalidConfig, text))?;
                let entry = |(name, value): (&'static str, String)| {
                    let own = topic.settings.contains_key(name);
                    let source = if own { FROM_TOPIC } else { origin(name, &value) };
                    (name.to_owned(), value, source)
                };
                Ok(config.entries().map(entry).collect())
            }
            BROKER_RESOURCE if name.is_empty() || name == "0" => {
                let entry = |(name, value): (&'static str, String)| {
                    let source = origin(name, &value);
                    (format!("log.{name}"), value, source)
                };
                Ok(self.config.log.entries().map(entry).collect())
            }
            _ => Err((ResponseError::InvalidRequest, "There is no such resource.".to_owned())),
        }
    }

    pub(super) fn alter_configs(
        &mut self,
        to: Asker,
        request: &IncrementalAlterConfigsRequest,
        out: &mut Effects<Self>,
    ) {
        let mut responses = Vec::with_capacity(request.resources.len());
        for resource in &request.resources {
            let altered = self.alter(resource, request.validate_only, out);
            let response = AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            responses.push(match altered {
                Ok(()) => response,
                Err((error, text)) => response
                    .with_error_code(error.code())
                    .with_error_message(Some(StrBytes::from_string(text))),
            });
        }
        let response = IncrementalAlterConfigsResponse::default().with_responses(responses);
        self.answer_after_journal(to, response, out);
    }

    fn alter(
        &mut self,
        resource: &AlterConfigsResource,
        only_check: bool,
        out: &mut Effects<Self>,
    ) -> Result<(), Refused> {
        if resource.resource_type != TOPIC {
            let text = "Only topics have settings that can be changed.".to_owned();
            return Err((ResponseError::InvalidRequest, text));
        }
        let name = resource.resource_name.to_string();
        let Some(topic) = self.topics.get(&name) else {
            let text = "This server does not host this topic-partition.".to_owned();
            return Err((ResponseError::UnknownTopicOrPartition, text));
        };
        let mut own = topic.settings.clone();
        let now = settings_of(&self.config, &name, &own)
            .map_err(|text| (ResponseError::InvalidConfig, text))?;
        for change in &resource.configs {
            let key = change.name.to_string();
            let value = change.value.as_ref().map(ToString::to_string).unwrap_or_default();
            // Lists are changed element by element; there is one list.
            let list = now.entries().find(|(known, _)| *known == key).map(|(_, value)| value);
            let mut words: Vec<&str> =
                list.as_deref().unwrap_or_default().split(',').filter(|w| !w.is_empty()).collect();
            match change.config_operation {
                SET => drop(own.insert(key, value)),
                DELETE => drop(own.remove(&key)),
                APPEND | SUBTRACT if key == "cleanup.policy" => {
                    words.retain(|word| *word != value);
                    if change.config_operation == APPEND {
                        words.push(&value);
                    }
                    own.insert(key, words.join(","));
                }
                _ => {
                    let text = format!("Config value append is not allowed for config key: {key}");
                    return Err((ResponseError::InvalidConfig, text));
                }
            }
        }
        let config = settings_of(&self.config, &name, &own)
            .map_err(|text| (ResponseError::InvalidConfig, text))?;
        if only_check {
            return Ok(());
        }
        for change in &resource.configs {
            let key = change.name.to_string();
            let value = own.get(&key).cloned();
            let entry = Entry::Set { topic: name.clone(), name: key, value };
            self.journal
                .append(out.disk(), &entry)
                .map_err(|error| (ResponseError::KafkaStorageError, error.to_string()))?;
        }
        self.sync_journal(out);
        let partitions = match self.topics.get_mut(&name) {
            Some(topic) => {
                topic.settings = own;
                topic.partitions.clone()
            }
            None => Vec::new(),
        };
        for id in partitions {
            if let Some(partition) = self.topics.partition(id) {
                partition.log.set_config(config.clone());
            }
        }
        Ok(())
    }
}
