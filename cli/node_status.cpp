#include "cli/node_status.h"

#include <chrono>
#include <cstdint>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "cli/progress.h"
#include "cli/text.h"
#include "format/error.h"
#include "mountd/job_daemon.h"
#include "mountd/node_client.h"

namespace firn {
namespace {

std::string LeaseText(const nlohmann::json& lease) {
  std::string text = lease.value("kind", std::string());
  if (lease.contains("name")) text += " " + lease.value("name", std::string());
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  const int64_t age = now - lease.value("since", int64_t{now});
  return text + " (uid " + std::to_string(lease.value("uid", 0u)) + ", pid " +
         std::to_string(lease.value("pid", 0)) + ") for " + FormatAge(age);
}

nlohmann::json AskStatus(NodeClient& node) {
  try {
    return node.Status();
  } catch (const Error& error) {
    std::cerr << "firn: warning: " << error.what() << '\n';
    return nullptr;
  }
}

void PrintNodeImage(const nlohmann::json& image) {
  std::cout << "  slot " << image.value("slot", 0u) << "  "
            << Printable(image.value("image", std::string())) << "  "
            << Printable(image.value("stage", std::string())) << ", "
            << (image.value("shares_pages", false) ? "shares its pages" : "shares no pages")
            << ", prefetch " << Printable(image.at("prefetch").value("stage", std::string()))
            << ", attached for " << FormatAge(image.value("age", int64_t{0})) << '\n';
  for (const nlohmann::json& below : image.value("below", nlohmann::json::array())) {
    std::cout << "    shown over slot " << below.value("slot", 0u) << " of uid "
              << below.value("domain", 0u) << ", " << Printable(below.value("image", std::string()))
              << '\n';
  }
  for (const nlohmann::json& lease : image.at("leases")) {
    std::cout << "    leased by " << Printable(LeaseText(lease)) << '\n';
  }
}

}  // namespace

nlohmann::json AskNodeStatus() {
  std::optional<NodeClient> node = NodeClient::Connect();
  return node ? AskStatus(*node) : nlohmann::json(nullptr);
}

nlohmann::json AskJobStatuses(const nlohmann::json& node) {
  const std::string own = node.is_null() ? std::string() : node.value("socket", std::string());
  nlohmann::json statuses = nlohmann::json::array();
  for (NodeClient& job : ConnectToJobs()) {
    nlohmann::json status = AskStatus(job);
    if (!status.is_null() && status.value("socket", std::string()) != own) {
      statuses.push_back(std::move(status));
    }
  }
  return statuses;
}

std::string DescribedDomain(const nlohmann::json& pool) {
  const nlohmann::json domain = pool.value("domain", nlohmann::json(0u));
  return domain.is_string() ? "signed by " + Printable(domain.get<std::string>())
                            : "of uid " + domain.dump();
}

void PrintNodeStatus(const nlohmann::json& daemon) {
  std::cout << "firnd " << daemon.value("pid", 0) << " serves "
            << (daemon.value("job", std::string()).empty() ? "this node" : "a job") << " at "
            << Printable(daemon.value("socket", std::string())) << " (version "
            << Printable(daemon.value("version", std::string())) << ")\n";
  for (const nlohmann::json& pool : daemon.at("pools")) {
    std::cout << "images " << DescribedDomain(pool) << ": worker " << pool.value("worker", 0)
              << ", " << Grouped(pool.value("restarts", uint64_t{0})) << " restarts, "
              << Grouped(pool.value("requests_total", uint64_t{0})) << " requests, "
              << Grouped(pool.at("cache").value("hits", uint64_t{0}))
              << " hits in the cache of blocks, cache "
              << FormatBytes(pool.at("cache").value("bytes", uint64_t{0})) << " of "
              << FormatBytes(pool.at("cache").value("capacity", uint64_t{0})) << ", "
              << FormatBytes(pool.value("bytes_read", uint64_t{0})) << " read, "
              << FormatBytes(pool.value("worker_resident", uint64_t{0})) << " of memory\n";
    for (const nlohmann::json& image : pool.at("images")) PrintNodeImage(image);
  }
}

}  // namespace firn
