#include "mountd/node_metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "firn_version.h"

namespace firn {
namespace {

using prometheus::MetricType;
using Labels = std::vector<prometheus::ClientMetric::Label>;
using NamedCounts = std::map<std::string, uint64_t>;

constexpr size_t kLongestLabel = 128;
constexpr char kEveryDomain[] = "all";

class MetricFamilies {
 public:
  // What is added from now on is of this family.
  void Begin(MetricType type, const char* name, const char* help) {
    families_.push_back({.name = name, .help = help, .type = type, .metric = {}});
  }
  void Add(Labels labels, double value) {
    prometheus::MetricFamily& family = families_.back();
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    // The text has the value of the family's type.
    if (family.type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    family.metric.push_back(std::move(metric));
  }
  void Add(Labels labels, uint64_t value) { Add(std::move(labels), static_cast<double>(value)); }

  void AddOne(MetricType type, const char* name, const char* help, double value) {
    Begin(type, name, help);
    Add({}, value);
  }

  std::string ToText() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  std::vector<prometheus::MetricFamily> families_;
};

// An image's maker chose the text: of a length that is sane, and ASCII, as a label must be UTF-8.
std::string LabelText(std::string_view text) {
  std::string label(text.substr(0, kLongestLabel));
  std::ranges::replace_if(
      label, [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return label;
}

using Domains = std::map<std::string, PoolCounts>;

Domains CountDomains(const NodeCounts& node, MetricsDetail detail) {
  Domains domains;
  if (detail == MetricsDetail::kSums) domains[kEveryDomain] = node.retired;
  for (const auto& [domain, pool] : node.pools) {
    const bool is_named = detail == MetricsDetail::kAll;
    domains[is_named ? domain.Name() : kEveryDomain] += CountsOf(*pool);
  }
  return domains;
}

void AddNode(MetricFamilies& families, const NodeCounts& node) {
  using std::chrono::duration;
  families.Begin(MetricType::Gauge, "firn_build_info", "Version of firnd; always 1.");
  families.Add({{"version", FIRN_VERSION}}, 1.0);
  families.AddOne(MetricType::Gauge, "firn_start_time_seconds",
                  "When firnd started, in seconds since 1970.",
                  duration<double>(node.started.time_since_epoch()).count());
  families.AddOne(MetricType::Gauge, "firn_uptime_seconds", "How long firnd runs.",
                  duration<double>(node.uptime).count());
  families.AddOne(MetricType::Gauge, "firn_keeper_resident_bytes",
                  "Resident memory of the process that holds mounts and leases.",
                  static_cast<double>(ResidentBytesOf(getpid())));
  families.AddOne(MetricType::Gauge, "firn_clients", "Clients that are connected.",
                  static_cast<double>(node.connected));
  families.AddOne(MetricType::Counter, "firn_client_connections_total", "Clients that connected.",
                  static_cast<double>(node.clients.connections));
  families.AddOne(MetricType::Counter, "firn_clients_refused_total",
                  "Clients that were turned away as there were too many.",
                  static_cast<double>(node.clients.refused));
  families.AddOne(MetricType::Counter, "firn_attaches_total",
                  "Requests for an image that were granted.",
                  static_cast<double>(node.clients.attached));
  families.AddOne(MetricType::Counter, "firn_attach_failures_total",
                  "Requests for an image that were answered with an error.",
                  static_cast<double>(node.clients.attach_failures));
  families.Begin(MetricType::Gauge, "firn_leases", "Leases of images, by their kind.");
  for (const LeaseKind kind : {LeaseKind::kProcess, LeaseKind::kMount, LeaseKind::kName}) {
    const auto count = std::ranges::count(node.leases, kind, &Lease::kind);
    families.Add({{"kind", std::string(ToString(kind))}}, static_cast<double>(count));
  }
}

void AddOfEach(MetricFamilies& families, const Domains& domains, uint64_t PoolCounts::*count) {
  for (const auto& [domain, counts] : domains) families.Add({{"domain", domain}}, counts.*count);
}

void AddByName(MetricFamilies& families, const Domains& domains, const char* label,
               NamedCounts PoolCounts::*names) {
  for (const auto& [domain, counts] : domains) {
    for (const auto& [name, count] : counts.*names) {
      families.Add({{"domain", domain}, {label, name}}, count);
    }
  }
}

void AddPoolCounters(MetricFamilies& families, const Domains& domains) {
  const auto begin = [&](const char* name, const char* help) {
    families.Begin(MetricType::Counter, name, help);
  };
  begin("firn_pool_requests_total", "Requests of the kernel, by opcode.");
  AddByName(families, domains, "opcode", &PoolCounts::requests);
  begin("firn_pool_errors_total", "Requests that failed as something went wrong, by cause.");
  AddByName(families, domains, "cause", &PoolCounts::errors);
  begin("firn_pool_blocks_decoded_total", "Blocks of images that were decoded, by kind.");
  AddByName(families, domains, "kind", &PoolCounts::decoded);
  begin("firn_pool_read_bytes_total", "Bytes that were read from image files.");
  AddOfEach(families, domains, &PoolCounts::bytes_read);
  begin("firn_pool_cache_hits_total", "Blocks that were found decoded.");
  AddOfEach(families, domains, &PoolCounts::cache_hits);
  begin("firn_pool_worker_restarts_total", "Workers that were replaced as they had died or hung.");
  AddOfEach(families, domains, &PoolCounts::restarts);
}

void AddPoolGauges(MetricFamilies& families, const Domains& domains) {
  const auto begin = [&](const char* name, const char* help) {
    families.Begin(MetricType::Gauge, name, help);
  };
  begin("firn_pools", "Pools: one for each owner of images.");
  AddOfEach(families, domains, &PoolCounts::pools);
  begin("firn_pool_workers", "Workers that are there; fewer than pools while one is replaced.");
  AddOfEach(families, domains, &PoolCounts::workers);
  begin("firn_pool_worker_resident_bytes", "Resident memory of workers.");
  AddOfEach(families, domains, &PoolCounts::worker_resident);
  begin("firn_pool_cache_bytes", "Decoded blocks that are held.");
  AddOfEach(families, domains, &PoolCounts::cache_bytes);
  begin("firn_pool_cache_capacity_bytes", "Decoded blocks that may be held.");
  AddOfEach(families, domains, &PoolCounts::cache_capacity);
  begin("firn_pool_images", "Images, by stage.");
  AddByName(families, domains, "stage", &PoolCounts::images);
}

// Images of one id in a domain taken together: one that goes, and the same attached again, or the
// foreign ones, which have none.
struct ImageCounts {
  std::string name;
  uint64_t leases = 0;
  uint64_t proved = 0;
  PrefetchStatus prefetch;
};
using ImageKey = std::pair<std::string, std::string>;  // domain and id

std::map<ImageKey, ImageCounts> CountImages(const NodeCounts& node) {
  std::map<ShareNumber, uint64_t> leases;
  for (const Lease& lease : node.leases) ++leases[lease.share];
  std::map<ImageKey, ImageCounts> images;
  for (const auto& [domain, pool] : node.pools) {
    for (const auto& [number, share] : pool->shares()) {
      if (share.stage == Share::Stage::kOpening && share.facts.id.empty()) continue;
      ImageCounts& image = images[{domain.Name(), share.facts.id}];
      const PrefetchStatus prefetch = pool->PrefetchOf(share);
      image.name = LabelText(share.facts.name);
      image.leases += leases[number];
      image.proved = std::max<uint64_t>(image.proved, share.proved ? 1 : 0);
      image.prefetch.steps += prefetch.steps;
      image.prefetch.done += prefetch.done;
      image.prefetch.failed += prefetch.failed;
      image.prefetch.bytes += prefetch.bytes;
    }
  }
  return images;
}

void AddImages(MetricFamilies& families, const NodeCounts& node) {
  const std::map<ImageKey, ImageCounts> images = CountImages(node);
  const auto add = [&](const char* name, const char* help, const auto& value) {
    families.Begin(MetricType::Gauge, name, help);
    for (const auto& [key, image] : images) {
      families.Add({{"domain", key.first}, {"id", key.second}}, static_cast<double>(value(image)));
    }
  };
  families.Begin(MetricType::Gauge, "firn_image_info", "Images that are attached; always 1.");
  for (const auto& [key, image] : images) {
    families.Add({{"domain", key.first}, {"id", key.second}, {"name", image.name}}, 1.0);
  }
  add("firn_image_leases", "Leases of the image.", [](const auto& image) { return image.leases; });
  add("firn_image_shares_pages", "1 where its files share memory with equal ones of others.",
      [](const auto& image) { return image.proved; });
  add("firn_image_prefetch_steps", "Steps of its profile.",
      [](const auto& image) { return image.prefetch.steps; });
  add("firn_image_prefetch_steps_done", "Steps of its profile that were done.",
      [](const auto& image) { return image.prefetch.done; });
  add("firn_image_prefetch_steps_failed", "Steps of its profile that failed.",
      [](const auto& image) { return image.prefetch.failed; });
  add("firn_image_prefetched_bytes", "Bytes that were read ahead as its profile says.",
      [](const auto& image) { return image.prefetch.bytes; });
}

}  // namespace

std::string NodeMetricsText(const NodeCounts& counts, MetricsDetail detail) {
  MetricFamilies families;
  AddNode(families, counts);
  const Domains domains = CountDomains(counts, detail);
  AddPoolCounters(families, domains);
  AddPoolGauges(families, domains);
  if (detail == MetricsDetail::kAll) AddImages(families, counts);
  return families.ToText();
}

}  // namespace firn
