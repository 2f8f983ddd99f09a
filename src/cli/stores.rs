//! Log stores on the command line: which one, who asks, and what selects records.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::console::Console;
use super::failure::Failure;
use super::kube_args::{KubeArgs, SelectArgs};
use super::{given, interrupt};
use crate::input::Until;
use crate::k8s::{Connection, Target, WorkloadKind, without_password};
use crate::model::{Flag, LabelSelector, Need};
use crate::reach::{Authorization, Limits, Web, WebError, WebFlags, WebIdentity};
use crate::store::{
    Ask, Condition, Elasticsearch, Fields, FieldsGiven, LogStore, Loki, Record, Splunk, StoreError, Summary,
    VictoriaLogs,
};

/// A log store, and how it is asked.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log store")]
pub(super) struct StoreArgs {
    /// Read from Splunk, at its management port, instead of pods
    #[arg(long, value_name = "URL", conflicts_with = "from")]
    splunk: Option<String>,
    /// Read from Elasticsearch or OpenSearch
    #[arg(long, value_name = "URL", conflicts_with = "from")]
    elasticsearch: Option<String>,
    /// Read from Loki
    #[arg(long, value_name = "URL", conflicts_with = "from")]
    loki: Option<String>,
    /// Read from VictoriaLogs
    #[arg(long, value_name = "URL", conflicts_with = "from")]
    victorialogs: Option<String>,
    /// Splunk in the cluster, through a port-forward
    #[arg(long, value_name = "NAMESPACE/NAME[:PORT]", conflicts_with = "from")]
    splunk_service: Option<String>,
    /// Elasticsearch or OpenSearch in the cluster, through a port-forward
    #[arg(long, value_name = "NAMESPACE/NAME[:PORT]", conflicts_with = "from")]
    elasticsearch_service: Option<String>,
    /// Loki in the cluster, through a port-forward
    #[arg(long, value_name = "NAMESPACE/NAME[:PORT]", conflicts_with = "from")]
    loki_service: Option<String>,
    /// VictoriaLogs in the cluster, through a port-forward
    #[arg(long, value_name = "NAMESPACE/NAME[:PORT]", conflicts_with = "from")]
    victorialogs_service: Option<String>,
    /// Narrow it in the store's own words: index=prod, an index pattern, {namespace="shop"}, a filter of LogsQL
    #[arg(long, value_name = "QUERY", conflicts_with = "from")]
    query: Option<String>,
    /// The field that holds the line; else found in a sample
    #[arg(long, value_name = "FIELD", conflicts_with = "from")]
    text_field: Option<String>,
    /// The field that holds the time; else found in a sample
    #[arg(long, value_name = "FIELD", conflicts_with = "from")]
    time_field: Option<String>,
    /// File with the bearer token that the store wants; else $MESHAUDIT_STORE_TOKEN
    #[arg(long, value_name = "FILE", conflicts_with = "store_user")]
    store_token_file: Option<PathBuf>,
    /// User for basic authentication; the password is in $MESHAUDIT_STORE_PASSWORD
    #[arg(long, value_name = "USER")]
    store_user: Option<String>,
    /// File with the password, in place of $MESHAUDIT_STORE_PASSWORD
    #[arg(long, value_name = "FILE", requires = "store_user")]
    store_password_file: Option<PathBuf>,
    /// File with Elasticsearch's API key, encoded as it was given out; else $MESHAUDIT_STORE_API_KEY
    #[arg(long, value_name = "FILE", conflicts_with_all = ["store_user", "store_token_file"])]
    store_api_key_file: Option<PathBuf>,
    /// The tenant: X-Scope-OrgID of Loki, ACCOUNT[:PROJECT] of VictoriaLogs
    #[arg(long, value_name = "TENANT")]
    store_tenant: Option<String>,
    /// File with the certificates (PEM) that sign the store's own, beside the system's
    #[arg(long, value_name = "FILE")]
    store_ca: Option<PathBuf>,
    /// File with a client certificate (PEM) for the store
    #[arg(long, value_name = "FILE", requires = "store_client_key")]
    store_client_certificate: Option<PathBuf>,
    /// File with the client certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "store_client_certificate")]
    store_client_key: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Splunk,
    Elasticsearch,
    Loki,
    VictoriaLogs,
}

enum Place<'a> {
    Url(&'a str),
    Service(&'a str),
}

/// Which containers' records.
pub(super) enum Containers<'a> {
    /// These.
    Named(&'a [String]),
    /// All but Istio's own.
    Applications,
    /// Istio's proxies.
    Proxies,
    /// All.
    Any,
}

/// Istio's own containers.
const ISTIO: [&str; 3] = ["istio-proxy", "istio-init", "istio-validation"];
/// What is asked for of stores that answer for a limited time only, where no time is given.
const USUAL_RANGE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A connection to the cluster that a store is in, which outlives the store.
pub(super) struct InCluster(Option<(Connection, String, String, u16)>);

impl StoreArgs {
    /// Whether a store is to be read.
    pub(super) fn is_given(&self) -> bool {
        self.all().next().is_some()
    }

    /// Whether it is in the cluster.
    pub(super) fn is_in_cluster(&self) -> bool {
        self.all().any(|(_, place)| matches!(place, Place::Service(_)))
    }

    fn all(&self) -> impl Iterator<Item = (Kind, Place<'_>)> {
        let urls = [
            (Kind::Splunk, &self.splunk),
            (Kind::Elasticsearch, &self.elasticsearch),
            (Kind::Loki, &self.loki),
            (Kind::VictoriaLogs, &self.victorialogs),
        ];
        let services = [
            (Kind::Splunk, &self.splunk_service),
            (Kind::Elasticsearch, &self.elasticsearch_service),
            (Kind::Loki, &self.loki_service),
            (Kind::VictoriaLogs, &self.victorialogs_service),
        ];
        let urls = urls.into_iter().filter_map(|(kind, url)| Some((kind, Place::Url(url.as_deref()?))));
        let services = services.into_iter().filter_map(|(kind, name)| Some((kind, Place::Service(name.as_deref()?))));
        urls.chain(services)
    }

    /// The flags as they were given, without credentials.
    pub(super) fn flags(&self) -> Vec<Flag> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let url = |url: &Option<String>| url.as_deref().map(without_password);
        let given = [
            ("--splunk", url(&self.splunk)),
            ("--elasticsearch", url(&self.elasticsearch)),
            ("--loki", url(&self.loki)),
            ("--victorialogs", url(&self.victorialogs)),
            ("--splunk-service", self.splunk_service.clone()),
            ("--elasticsearch-service", self.elasticsearch_service.clone()),
            ("--loki-service", self.loki_service.clone()),
            ("--victorialogs-service", self.victorialogs_service.clone()),
            ("--query", self.query.clone()),
            ("--text-field", self.text_field.clone()),
            ("--time-field", self.time_field.clone()),
            ("--store-token-file", path(&self.store_token_file)),
            ("--store-user", self.store_user.clone()),
            ("--store-password-file", path(&self.store_password_file)),
            ("--store-api-key-file", path(&self.store_api_key_file)),
            ("--store-tenant", self.store_tenant.clone()),
            ("--store-ca", path(&self.store_ca)),
            ("--store-client-certificate", path(&self.store_client_certificate)),
            ("--store-client-key", path(&self.store_client_key)),
        ];
        given.into_iter().filter_map(|(name, value)| Some(Flag::new(name, value?))).collect()
    }

    fn chosen(&self) -> Result<(Kind, Place<'_>), Failure> {
        let mut all = self.all();
        match (all.next(), all.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(Failure::usage("one log store is read at a time")
                .hint("give one of --splunk, --elasticsearch, --loki and --victorialogs")),
        }
    }

    /// What narrows it in its own words.
    pub(super) fn query(&self) -> Option<String> {
        self.query.clone()
    }

    /// The fields that were named.
    pub(super) fn fields(&self, service: Option<&String>) -> FieldsGiven {
        FieldsGiven { text: self.text_field.clone(), time: self.time_field.clone(), service: service.cloned() }
    }

    /// Connects to the cluster, where the store is in it.
    pub(super) async fn cluster(&self, kube: &KubeArgs) -> Result<InCluster, Failure> {
        let (_, Place::Service(service)) = self.chosen()? else { return Ok(InCluster(None)) };
        let (namespace, name, port) = service_address(service)?;
        let connection = kube.connect().await?;
        let (pod, port) = connection.service_backend(namespace, name, port).await?;
        Ok(InCluster(Some((connection, namespace.to_owned(), pod, port))))
    }

    /// The store, and what is asked of it whatever else is selected.
    pub(super) fn open<'c>(
        &self,
        cluster: &'c InCluster,
        limits: Limits,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(Box<dyn LogStore + 'c>, Ask), Failure> {
        let (kind, place) = self.chosen()?;
        let service = match kind {
            Kind::Splunk => "Splunk",
            Kind::Elasticsearch => "Elasticsearch",
            Kind::Loki => "Loki",
            Kind::VictoriaLogs => "VictoriaLogs",
        };
        let flags = WebFlags { service, ca: "--store-ca" };
        let identity = self.identity(kind, interrupt::until(Some(limits.deadline)))?;
        let web = match (&cluster.0, place) {
            (Some((connection, namespace, pod, port)), _) => {
                Web::in_pod(connection, (namespace, pod, *port), identity, limits, flags)
            }
            (None, Place::Url(url)) => {
                Web::at(url, identity, limits, flags).map_err(|error| Failure::usage(error.to_string()))?
            }
            (None, Place::Service(service)) => return Err(Failure::usage(format!("{service:?} is no service"))),
        };
        // A store without end of time is asked for all that it has, shippers' clocks that are ahead included.
        let ahead = now.checked_add(SignedDuration::from_hours(24)).unwrap_or(now);
        let limited = matches!(kind, Kind::Loki | Kind::Splunk);
        let usual = if limited { now.checked_sub(USUAL_RANGE).unwrap_or(now) } else { Timestamp::UNIX_EPOCH };
        let mut ask = Ask {
            query: self.query.clone().filter(|query| !query.trim().is_empty()),
            since: since.unwrap_or(usual),
            until: until.unwrap_or(ahead),
            ..Ask::default()
        };
        if limited && since.is_none() {
            ask.told.remark(format!("{service} is asked for the last 30 days; --since names another time."));
        }
        let store: Box<dyn LogStore + 'c> = match kind {
            Kind::Splunk => Box::new(Splunk::new(web)),
            Kind::Loki => Box::new(Loki::new(web)),
            Kind::VictoriaLogs => Box::new(VictoriaLogs::new(web)),
            Kind::Elasticsearch => {
                let (store, query) = Elasticsearch::new(web, ask.query.as_deref());
                ask.query = query;
                Box::new(store)
            }
        };
        Ok((store, ask))
    }

    fn identity(&self, kind: Kind, until: Until) -> Result<WebIdentity, Failure> {
        let secret = |file: &Option<PathBuf>, variable: &str| -> Result<Option<String>, Failure> {
            match file {
                Some(path) => Ok(Some(String::from_utf8_lossy(&bytes_of(path, until)?).into_owned())),
                None => Ok(std::env::var(variable).ok().filter(|value| !value.trim().is_empty())),
            }
        };
        let trimmed = |secret: String| secret.trim().to_owned();
        let authorization = if let Some(user) = &self.store_user {
            let password = secret(&self.store_password_file, "MESHAUDIT_STORE_PASSWORD")?.ok_or_else(|| {
                Failure::usage("--store-user needs a password")
                    .hint("set MESHAUDIT_STORE_PASSWORD, or name a file with --store-password-file")
            })?;
            Some(Authorization::Basic(user.clone(), password.trim_end_matches(['\n', '\r']).to_owned()))
        } else if let Some(key) = secret(&self.store_api_key_file, "MESHAUDIT_STORE_API_KEY")? {
            Some(Authorization::ApiKey(trimmed(key)))
        } else {
            secret(&self.store_token_file, "MESHAUDIT_STORE_TOKEN")?.map(trimmed).map(|token| {
                // Splunk's tokens are JWTs; what is none is a session key.
                if kind == Kind::Splunk && !token.starts_with("ey") {
                    Authorization::Splunk(token)
                } else {
                    Authorization::Bearer(token)
                }
            })
        };
        let mut headers = Vec::new();
        if let Some(tenant) = &self.store_tenant {
            if kind == Kind::VictoriaLogs {
                let (account, project) = tenant.split_once(':').unwrap_or((tenant, "0"));
                headers.push(("AccountID", account.to_owned()));
                headers.push(("ProjectID", project.to_owned()));
            } else {
                headers.push(("X-Scope-OrgID", tenant.clone()));
            }
        }
        let client = match (&self.store_client_certificate, &self.store_client_key) {
            (Some(certificate), Some(key)) => {
                let mut pem = bytes_of(certificate, until)?;
                pem.push(b'\n');
                pem.extend(bytes_of(key, until)?);
                Some(pem)
            }
            _ => None,
        };
        let ca = self.store_ca.as_deref().map(|path| bytes_of(path, until)).transpose()?;
        Ok(WebIdentity { authorization, headers, ca, client })
    }
}

pub(super) fn bytes_of(path: &Path, until: Until) -> Result<Vec<u8>, Failure> {
    given::small(path, until).map_err(|error| Failure::usage(format!("{} could not be read: {error}", path.display())))
}

/// `NAMESPACE/NAME[:PORT]`.
pub(super) fn service_address(text: &str) -> Result<(&str, &str, Option<&str>), Failure> {
    let (namespace, rest) = text.split_once('/').unwrap_or_default();
    let (name, port) = rest.split_once(':').map_or((rest, None), |(name, port)| (name, Some(port)));
    if namespace.is_empty() || name.is_empty() || port == Some("") {
        return Err(Failure::usage(format!("{text:?} is no service"))
            .hint("it has the form NAMESPACE/NAME:PORT, for example istio-system/prometheus:9090"));
    }
    Ok((namespace, name, port))
}

/// Targets, namespace and labels, as they mean pods.
pub(super) struct Selected {
    targets: Vec<Target>,
    /// The namespace, unless all are meant.
    pub(super) namespace: Option<String>,
    labels: Option<LabelSelector>,
}

impl Selected {
    /// What the flags and targets select of a store.
    pub(super) fn of(select: &SelectArgs, targets: &[String]) -> Result<Self, Failure> {
        let selection = select.selection(targets)?;
        let given = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
        if given(&select.field_selector) || given(&select.revision) {
            return Err(Failure::usage("a log store knows no fields of pods and no revisions")
                .hint("leave out --field-selector and --revision; -l selects by labels that the shipper wrote"));
        }
        for target in &selection.targets {
            if matches!(target.kind, Some(WorkloadKind::Service)) {
                return Err(Failure::usage(format!(
                    "a log store does not know which pods are behind svc/{}",
                    target.name
                ))
                .hint("name the workload, such as deploy/NAME, or select by labels with -l"));
            }
        }
        let labels = selection.labels.filter(|labels| !labels.trim().is_empty());
        Ok(Self {
            targets: selection.targets,
            namespace: selection.namespace.filter(|name| !name.is_empty() && !selection.all_namespaces),
            labels: labels
                .map(|labels| {
                    labels.parse().map_err(|error: crate::model::SelectorError| Failure::usage(error.to_string()))
                })
                .transpose()?,
        })
    }

    /// The conditions that mean the same in the store's fields.
    pub(super) fn conditions(
        &self,
        fields: &Fields,
        sample: &[Record],
        containers: &Containers<'_>,
    ) -> Result<Vec<Condition>, StoreError> {
        let mut all = Vec::new();
        if let Some(namespace) = &self.namespace {
            let field = fields.known(&fields.namespace, "-n", "namespace")?;
            all.push(Condition::Is(field.to_owned(), vec![namespace.clone()]));
        }
        if !self.targets.is_empty() {
            let each = self.targets.iter().map(|target| self.target(target, fields, sample));
            all.push(Condition::Any(each.collect::<Result<_, _>>()?));
        }
        for (key, need) in self.labels.iter().flat_map(LabelSelector::needs) {
            let field = fields.label(sample, key)?;
            all.push(match need {
                Need::There => Condition::Has(field),
                Need::Absent => Condition::HasNot(field),
                Need::In(values) => Condition::Is(field, values.to_vec()),
                Need::NotIn(values) => Condition::IsNot(field, values.to_vec()),
            });
        }
        match containers {
            Containers::Named(names) => {
                let field = fields.known(&fields.container, "-c", "container")?;
                all.push(Condition::Is(field.to_owned(), names.to_vec()));
            }
            Containers::Applications if !fields.container.is_empty() => {
                all.push(Condition::IsNot(fields.container.clone(), ISTIO.map(str::to_owned).to_vec()));
            }
            Containers::Proxies if !fields.container.is_empty() => {
                all.push(Condition::Is(fields.container.clone(), vec![ISTIO[0].to_owned()]));
            }
            _ => {}
        }
        Ok(all)
    }

    fn target(&self, target: &Target, fields: &Fields, sample: &[Record]) -> Result<Condition, StoreError> {
        let what = target.to_string();
        let one = |name: &str| -> Result<Condition, StoreError> {
            Ok(match target.kind {
                Some(WorkloadKind::Gateway) => {
                    let label = "gateway.networking.k8s.io/gateway-name";
                    Condition::Is(fields.label(sample, label)?, vec![name.to_owned()])
                }
                Some(_) => {
                    let field = fields.known(&fields.pod, &what, "pod")?;
                    Condition::Workload(field.to_owned(), vec![name.to_owned()])
                }
                None => Condition::Is(fields.known(&fields.pod, &what, "pod")?.to_owned(), vec![name.to_owned()]),
            })
        };
        let whole = one(&target.name)?;
        // istioctl's NAME.NAMESPACE; names may have points of their own.
        let Some((name, namespace)) = target.name.rsplit_once('.').filter(|_| !fields.namespace.is_empty()) else {
            return Ok(whole);
        };
        let there = Condition::Is(fields.namespace.clone(), vec![namespace.to_owned()]);
        Ok(Condition::Any(vec![whole, Condition::All(vec![there, one(name)?])]))
    }
}

/// A store that gave nothing.
pub(super) fn failure(error: &StoreError) -> Failure {
    let failure = match error {
        StoreError::Web(WebError::Url { .. } | WebError::Pem(_)) | StoreError::NoField { .. } => {
            Failure::usage(chain(error))
        }
        _ => Failure::cannot_run(chain(error)),
    };
    let hint = match error {
        StoreError::Web(WebError::Unauthorized(..)) => {
            Some("--store-token-file, --store-user or --store-api-key-file say who asks".to_owned())
        }
        StoreError::Web(WebError::ClientCertificate(..)) => {
            Some("--store-client-certificate and --store-client-key name the certificate and its key (PEM)".to_owned())
        }
        StoreError::Web(web) => web.hint(WebFlags { service: "", ca: "--store-ca" }),
        StoreError::Nothing { .. } => {
            Some("-n, -l, targets, --query, --since and --until select records; -A takes all namespaces".to_owned())
        }
        StoreError::Unselectable { .. } => Some("--query can say it in the store's own words".to_owned()),
        StoreError::Refused { .. } | StoreError::Foreign { .. } | StoreError::NoField { .. } => None,
    };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        if !text.contains(&source.to_string()) {
            text.push_str(": ");
            text.push_str(&source.to_string());
        }
        next = source.source();
    }
    text
}

/// Says how the store was read.
pub(super) fn tell(console: &Console, store: &str, ask: &Ask, summary: &Summary) {
    let escape = |text: &str| crate::report::escape::escape(text).into_owned();
    let how = if summary.whole {
        format!("{} records of {} containers, all read", summary.total, summary.sources)
    } else {
        format!(
            "{} records of {} containers, {} of them read, the others counted by the store",
            summary.total, summary.sources, summary.read
        )
    };
    console.note(&escape(&format!("{store}: {how}. Fields: {}.", summary.fields.sentence())));
    if summary.shipped_twice > 0 {
        console.note(&format!("{} records were shipped twice, and are counted once.", summary.shipped_twice));
    }
    if summary.doubtful > 0 {
        console.note(&format!(
            "{} records have the text and the time of another one: shipped twice or written twice, these cannot tell, and each is counted.",
            summary.doubtful
        ));
    }
    for remark in ask.told.remarks() {
        console.note(&escape(&remark));
    }
}
