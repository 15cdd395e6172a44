//! Delivery times per subscription, and what happened in each second.

use hdrhistogram::Histogram;
use lab_workloads::scenario::model::{PhaseKind, Scenario};

/// Every histogram of the lab: nanoseconds, three significant digits, growing
/// on demand, so that any two can be added.
pub fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three significant digits is a valid precision")
}

/// Records nanoseconds; zero counts as one, since a histogram has no zero.
pub fn record(histogram: &mut Histogram<u64>, nanos: u64) {
    histogram.record(nanos.max(1)).expect("an auto-resizing histogram takes every value");
}

/// Response and service time of the same deliveries.
#[derive(Clone, Debug)]
pub struct Pair {
    /// From the intended time.
    pub response: Histogram<u64>,
    /// From the submission to the client.
    pub service: Histogram<u64>,
}

impl Pair {
    /// Two empty histograms.
    pub fn new() -> Pair {
        Pair { response: histogram(), service: histogram() }
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Pair) {
        self.response.add(&other.response).expect("one configuration");
        self.service.add(&other.service).expect("one configuration");
    }
}

impl Default for Pair {
    fn default() -> Self {
        Pair::new()
    }
}

/// One second of deliveries.
#[derive(Clone, Debug, Default)]
pub struct DeliveredSecond {
    /// Deliveries in it.
    pub delivered: u64,
    /// Median response time, nanoseconds.
    pub p50_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// Largest.
    pub max_ns: u64,
}

/// The measured window, quick to ask.
#[derive(Clone, Debug)]
pub struct Window {
    stretches: Vec<(u64, u64)>,
}

impl Window {
    /// The steady phases of `scenario`.
    pub fn new(scenario: &Scenario) -> Window {
        let stretches = scenario
            .phases
            .iter()
            .filter(|phase| phase.kind == PhaseKind::Steady)
            .map(|phase| (phase.start_ns, phase.end_ns))
            .collect();
        Window { stretches }
    }

    /// Whether a message intended at this time is measured.
    #[inline]
    pub fn holds(&self, intended_ns: u64) -> bool {
        self.stretches.iter().any(|(from, until)| (*from..*until).contains(&intended_ns))
    }
}

/// What consumers measure.
#[derive(Debug)]
pub struct Meters {
    window: Window,
    by_population: Vec<Option<Pair>>,
    seconds: Vec<DeliveredSecond>,
    current: Histogram<u64>,
    /// Deliveries of the current second without a time.
    caught_up: u64,
    /// When each population subscribes: what is older has no delivery time,
    /// because it is read from a store long after it was sent.
    joins_ns: Vec<u64>,
    current_second: usize,
    in_window: u64,
    negative: u64,
}

impl Meters {
    /// Meters for the populations of `scenario`.
    pub fn new(scenario: &Scenario) -> Meters {
        Meters {
            window: Window::new(scenario),
            by_population: vec![None; scenario.populations.len()],
            seconds: Vec::new(),
            current: histogram(),
            caught_up: 0,
            joins_ns: scenario
                .populations
                .iter()
                .map(|population| population.subscription().map_or(0, |it| it.joins_ns))
                .collect(),
            current_second: 0,
            in_window: 0,
            negative: 0,
        }
    }

    /// A delivery at `at_ns` of a message intended at `intended_ns` and
    /// submitted `lag_ns` later, all on the run's clock. Returns whether its time
    /// is one of those that are judged.
    pub fn delivered(
        &mut self,
        population: usize,
        intended_ns: u64,
        lag_ns: u32,
        at_ns: u64,
    ) -> bool {
        if at_ns < intended_ns {
            self.negative += 1;
        }
        let response = at_ns.saturating_sub(intended_ns);
        let second = (at_ns / 1_000_000_000) as usize;
        if second > self.current_second {
            self.roll(second);
        }
        if intended_ns < self.joins_ns[population] {
            self.caught_up += 1;
            return false;
        }
        record(&mut self.current, response);
        let is_judged = self.window.holds(intended_ns);
        if is_judged {
            self.in_window += 1;
            let pair = self.by_population[population].get_or_insert_default();
            record(&mut pair.response, response);
            record(&mut pair.service, response.saturating_sub(u64::from(lag_ns)));
        }
        is_judged
    }

    /// The 99th percentile of the current second so far, for progress lines.
    pub fn live_p99_ns(&self) -> u64 {
        if self.current.is_empty() {
            self.seconds.last().map_or(0, |second| second.p99_ns)
        } else {
            self.current.value_at_quantile(0.99)
        }
    }

    fn roll(&mut self, second: usize) {
        let row = DeliveredSecond {
            delivered: self.current.len() + std::mem::take(&mut self.caught_up),
            p50_ns: self.current.value_at_quantile(0.5),
            p99_ns: self.current.value_at_quantile(0.99),
            max_ns: self.current.max(),
        };
        self.seconds.push(row);
        // A second without deliveries is a row of its own.
        self.seconds.resize(second, DeliveredSecond::default());
        self.current.reset();
        self.current_second = second;
    }

    /// Ends the measurement.
    pub fn finish(mut self) -> Measured {
        self.roll(self.current_second + 1);
        Measured {
            by_population: self.by_population,
            seconds: self.seconds,
            in_window: self.in_window,
            negative: self.negative,
        }
    }
}

/// What the meters hold at the end.
#[derive(Debug)]
pub struct Measured {
    /// Per population, where anything was delivered in the window.
    pub by_population: Vec<Option<Pair>>,
    /// Per second of delivery, from the run's zero.
    pub seconds: Vec<DeliveredSecond>,
    /// Deliveries of messages intended in the window.
    pub in_window: u64,
    /// Deliveries that appeared to come before their intended time; counted,
    /// never dropped.
    pub negative: u64,
}
