#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/node_status.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "format/error.h"
#include "mountd/mount_list.h"

namespace firn {
namespace {

constexpr char kStatusFooter[] =
    "Shows what the caller's sessions do, for root those of every user, and mounts whose firnd is\n"
    "dead. Given DIR, all that is known of the one there.\n"
    "\n"
    "Examples:\n"
    "  firn status\n"
    "  firn status /mnt/science\n"
    "  firn status --json | jq '.mounts[].requests_total'";

struct StatusOptions {
  std::string directory;
  bool json = false;
};

uint64_t Sum(const std::map<std::string, uint64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0},
                         [](uint64_t sum, const auto& entry) { return sum + entry.second; });
}

void PrintStatusJson(const std::vector<MountedImage>& images, const nlohmann::json& node,
                     const nlohmann::json& jobs) {
  nlohmann::json mounts = nlohmann::json::array();
  for (const MountedImage& image : images) {
    nlohmann::json mount =
        image.status ? ToJson(*image.status)
                     : nlohmann::json{{"mount_point", image.mount_point}, {"image", image.image}};
    mount["alive"] = image.status.has_value();
    mounts.push_back(std::move(mount));
  }
  const nlohmann::json all = {{"mounts", std::move(mounts)}, {"node", node}, {"jobs", jobs}};
  PrintJson(nlohmann::ordered_json(all));
}

using Row = std::array<std::string, 9>;

Row RowOf(const MountedImage& image) {
  if (!image.status) {
    return {Printable(image.mount_point), "dead", "-", "-", "-", "-", "-", "-",
            Printable(image.image)};
  }
  const SessionStatus& status = *image.status;
  return {Printable(status.mount_point), Printable(status.view) + (status.job ? ", job" : ""),
          std::to_string(status.pid),    std::to_string(status.uid),
          FormatAge(status.age),         Grouped(status.requests_total),
          Grouped(Sum(status.decoded)),  Grouped(Sum(status.errors)),
          Printable(status.image)};
}

void PrintTable(const std::vector<MountedImage>& images) {
  std::vector<Row> rows = {
      {"MOUNT POINT", "VIEW", "FIRND", "UID", "AGE", "REQUESTS", "DECODED", "ERRORS", "IMAGE"}};
  for (const MountedImage& image : images) rows.push_back(RowOf(image));
  Row::size_type last = rows.front().size() - 1;
  std::vector<size_t> widths(last, 0);
  for (const Row& row : rows) {
    for (size_t i = 0; i < last; ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const Row& row : rows) {
    for (size_t i = 0; i < last; ++i) {
      std::cout << row[i] << std::string(widths[i] - row[i].size() + 2, ' ');
    }
    std::cout << row[last] << '\n';
  }
}

std::string Listed(const std::map<std::string, uint64_t>& counts) {
  std::string text;
  for (const auto& [name, count] : counts) {
    if (count == 0) continue;
    text += (text.empty() ? "" : ", ") + Printable(name) + " " + Grouped(count);
  }
  return text.empty() ? "none" : text;
}

std::string PrefetchText(const PrefetchStatus& prefetch) {
  if (prefetch.stage == "off") return "off";
  std::string text = Printable(prefetch.stage) + ", " + Grouped(prefetch.done) + " of " +
                     Grouped(prefetch.steps) + " steps, " + FormatBytes(prefetch.bytes);
  if (prefetch.missing != 0) text += ", " + Grouped(prefetch.missing) + " missing";
  if (prefetch.failed != 0) text += ", " + Grouped(prefetch.failed) + " failed";
  return text;
}

void PrintDetails(const SessionStatus& status) {
  PrintField("mount point", Printable(status.mount_point) + (status.job ? " (of a job)" : ""));
  PrintField("image", Printable(status.image));
  if (status.foreign) {
    PrintField("", "foreign: nothing is verified");
  } else {
    PrintField("id", Printable(status.id));
    PrintField("name", Printable(status.name));
    PrintField("prefix", Printable(status.prefix));
  }
  PrintField("view", Printable(status.view) +
                         (status.view_reason.empty() ? "" : ": " + Printable(status.view_reason)));
  PrintField("firnd", std::to_string(status.pid) + ", uid " + std::to_string(status.uid) +
                          ", version " + Printable(status.version) + ", " +
                          std::to_string(status.threads) + " threads");
  PrintField("since", FormatUtc(status.started) + " (" + FormatAge(status.age) + ")");
  PrintField("requests", Grouped(status.requests_total) + ": " + Listed(status.requests));
  PrintField("decoded", Grouped(Sum(status.decoded)) + " blocks: " + Listed(status.decoded));
  PrintField("cache", FormatBytes(status.cache_bytes) + " of " +
                          FormatBytes(status.cache_capacity) + ", " + Grouped(status.cache_hits) +
                          " hits");
  PrintField("read", FormatBytes(status.bytes_read) + " from the image");
  PrintField("prefetch", PrefetchText(status.prefetch));
  PrintField("errors", Listed(status.errors));
}

void Status(const StatusOptions& options) {
  const std::optional<std::string> directory =
      options.directory.empty() ? std::nullopt : std::optional(options.directory);
  const std::vector<MountedImage> images = ListMountedImages(directory);
  if (directory && images.empty()) {
    throw Error(ErrorKind::kMountPoint,
                "expected an image shown here by a session that you may see",
                "'firn status' without DIR shows those.")
        .WithPath(options.directory);
  }
  const nlohmann::json node = directory ? nlohmann::json() : AskNodeStatus();
  const nlohmann::json jobs = directory ? nlohmann::json::array() : AskJobStatuses(node);
  if (options.json) {
    PrintStatusJson(images, node, jobs);
  } else if (!directory) {
    if (!node.is_null()) PrintNodeStatus(node);
    for (const nlohmann::json& job : jobs) PrintNodeStatus(job);
    if ((node.is_null() && jobs.empty()) || !images.empty()) PrintTable(images);
  } else {
    for (const MountedImage& image : images) {
      if (image.status) {
        PrintDetails(*image.status);
      } else {
        PrintField("mount point", Printable(image.mount_point));
        PrintField("image", Printable(image.image));
        PrintField("firnd",
                   "dead: clean up with 'firn unmount " + Printable(image.mount_point) + "'");
      }
    }
  }
}

}  // namespace

void AddStatusCommand(CLI::App& app, int&) {
  const auto options = std::make_shared<StatusOptions>();
  CLI::App* status = app.add_subcommand("status", "Show what mounted images are doing");
  status->footer(kStatusFooter);
  status->add_option("DIR", options->directory, "Only the image shown there, with all details");
  status->add_flag("--json", options->json, "Print it as JSON");
  status->callback([options] { Status(*options); });
}

}  // namespace firn
