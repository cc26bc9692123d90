#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/node_status.h"
#include "cli/output.h"
#include "cli/text.h"
#include "format/error.h"
#include "mountd/control_client.h"
#include "mountd/health.h"
#include "mountd/job_daemon.h"
#include "mountd/mount_point.h"
#include "mountd/mount_table.h"
#include "mountd/node_client.h"

namespace firn {
namespace {

constexpr char kHealthFooter[] =
    "A file of each image is read through its mount, past the kernel's cache, so that the daemon\n"
    "has to answer, and compared with the image. Ends with 0 where every answer was right and in\n"
    "time, with 9 where one was not. Mounts in namespaces of jobs cannot be reached and are named "
    "as\n"
    "skipped, as are images that the caller may not read.\n"
    "\n"
    "Examples:\n"
    "  firn health\n"
    "  firn health --timeout 500 --json\n"
    "  firn health /mnt/science";

struct HealthOptions {
  std::string directory;
  unsigned timeout = 2000;
  bool json = false;
};

struct Checked {
  std::string place;
  std::string image;
  std::string state;  // "ok", "failed" or "skipped"
  HealthResult result;
};

Checked Skipped(std::string place, std::string image, std::string why) {
  Checked checked{std::move(place), std::move(image), "skipped", {}};
  checked.result.message = std::move(why);
  return checked;
}

Checked Check(std::string place, HealthTarget target, const HealthOptions& options) {
  Checked checked{std::move(place), target.image, {}, {}};
  checked.result = CheckHealth(std::move(target), std::chrono::milliseconds(options.timeout));
  checked.state = checked.result.ok ? "ok" : checked.result.skipped ? "skipped" : "failed";
  return checked;
}

Checked CheckMount(const MountEntry& mounted, const HealthOptions& options) {
  HealthTarget target;
  target.image = mounted.FirnImage();
  target.foreign = true;  // or not: the mount does not say
  target.directory = mounted.target;
  return Check(mounted.target, std::move(target), options);
}

// Through a mount that the node's firnd, or a job's, gives to who may read the image.
Checked CheckShare(const nlohmann::json& daemon, const nlohmann::json& image,
                   const HealthOptions& options) {
  HealthTarget target;
  target.image = image.value("image", std::string());
  target.foreign = image.value("foreign", false);
  const bool is_of_job = !daemon.value("job", std::string()).empty();
  const std::string socket = daemon.value("socket", std::string());
  target.prepare = [is_of_job, socket](HealthTarget& share) -> std::optional<std::string> {
    const FileDescriptor file(open(share.image.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return "the image cannot be read";
    std::optional<NodeClient> node = is_of_job ? ConnectToJob(socket) : NodeClient::Connect();
    if (!node) return "its firnd has ended";
    AttachedView attached = node->Attach({.image = file.get(),
                                          .path = share.image,
                                          .foreign = share.foreign,
                                          .prefetch = false,
                                          .name = {}});
    share.view = std::move(attached.view);
    share.user_namespace = std::move(attached.user_namespace);
    return std::nullopt;
  };
  return Check("slot " + std::to_string(image.value("slot", 0u)), std::move(target), options);
}

void CheckShares(const nlohmann::json& daemon, const HealthOptions& options,
                 std::vector<Checked>& all) {
  for (const nlohmann::json& pool : daemon.at("pools")) {
    for (const nlohmann::json& image : pool.at("images")) {
      if (image.value("stage", std::string()) != "detaching") {
        all.push_back(CheckShare(daemon, image, options));
      }
    }
  }
}

// Also where firnd does not tell what there is.
void CheckNode(const HealthOptions& options, std::vector<Checked>& all) {
  nlohmann::json node;
  try {
    node = AskNodeStatus();
  } catch (const Error& error) {
    Checked checked{"node", "", "failed", {}};
    checked.result.message = error.what();
    all.push_back(std::move(checked));
  }
  if (!node.is_null()) CheckShares(node, options, all);
  for (const nlohmann::json& job : AskJobStatuses(node)) CheckShares(job, options, all);
}

// The mounts are taken from the kernel's table: a firnd that hangs would not tell of its own.
std::vector<Checked> CheckMounts(const HealthOptions& options) {
  std::vector<Checked> all;
  std::optional<std::string> only;
  if (!options.directory.empty()) only = ResolveMountTarget(options.directory);
  for (const MountEntry& mounted : ReadMountTable()) {
    if (!mounted.IsFirn() || (only && mounted.target != *only)) continue;
    all.push_back(CheckMount(mounted, options));
  }
  if (!only || !all.empty()) return all;
  throw Error(ErrorKind::kMountPoint, "expected an image shown here, found none",
              "'firn health' without DIR checks every mount, and the images of the node.")
      .WithPath(*only);
}

std::vector<Checked> CheckAll(const HealthOptions& options) {
  std::vector<Checked> all = CheckMounts(options);
  if (!options.directory.empty()) return all;
  for (const SessionStatus& session : ListSessions()) {
    if (!session.job) continue;
    all.push_back(Skipped(session.mount_point, session.image, "in the namespace of a job"));
  }
  CheckNode(options, all);
  return all;
}

void Print(const std::vector<Checked>& all, bool is_ok, bool as_json) {
  nlohmann::ordered_json checks = nlohmann::ordered_json::array();
  for (const Checked& checked : all) {
    const double milliseconds = static_cast<double>(checked.result.took.count()) / 1000;
    if (!as_json) {
      std::cout << checked.state << "  " << Printable(checked.place) << "  "
                << Printable(checked.image) << "  " << Printable(checked.result.message);
      if (checked.state == "ok") std::cout << " in " << milliseconds << " ms";
      std::cout << '\n';
    }
    checks.push_back({{"place", checked.place},
                      {"image", checked.image},
                      {"state", checked.state},
                      {"milliseconds", milliseconds},
                      {"message", checked.result.message}});
  }
  if (as_json) PrintJson({{"ok", is_ok}, {"checks", std::move(checks)}});
  if (!as_json && all.empty()) std::cout << "nothing is mounted\n";
}

}  // namespace

void AddHealthCommand(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<HealthOptions>();
  CLI::App* health = app.add_subcommand("health", "Read through each mount, and compare");
  health->footer(kHealthFooter);
  health->add_option("DIR", options->directory, "Only the image shown there");
  health->add_option("--timeout", options->timeout, "Milliseconds that each may take [2000]")
      ->option_text("MS")
      ->check(CLI::Range(1u, 600'000u));
  health->add_flag("--json", options->json, "Print it as JSON");
  health->callback([options, &exit_code] {
    const std::vector<Checked> all = CheckAll(*options);
    const bool is_ok = std::none_of(
        all.begin(), all.end(), [](const Checked& checked) { return checked.state == "failed"; });
    Print(all, is_ok, options->json);
    if (!is_ok) exit_code = static_cast<int>(ErrorKind::kNoReply);
  });
}

}  // namespace firn
