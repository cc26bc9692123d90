#include "mountd/inheritance.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "firn_version.h"
#include "mountd/session_memory.h"
#include "mountd/state_file.h"

namespace firn {
namespace {

using nlohmann::json;

// Of the document: to be raised when its members, or what a worker has to know, change.
constexpr int kEstateVersion = 1;

std::optional<int> NumberFromEnvironment(const char* variable) {
  const char* const text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  const std::string_view digits(text);
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

}  // namespace

Estate::Estate()
    : document({{"version", kEstateVersion},
                {"session_layout", SessionState::kLayout},
                {"session_size", sizeof(SessionState)},
                {"program", FIRN_VERSION},
                {"pid", getpid()}}) {}

std::string EstateName(const std::string& kind, uint64_t number) {
  return kind + "-" + std::to_string(number);
}

std::string EstateName(const std::string& kind, const TrustDomain& domain) {
  return kind + "-" + domain.PlainName();
}

Inheritance::Inheritance(FileDescriptor state) {
  descriptors_[kStateName] = std::move(state);
  ReadDocument();
}

// As sd_listen_fds_with_names(3), which a build without libsystemd has not.
Inheritance Inheritance::Receive() {
  Inheritance inheritance;
  constexpr int kFirstPassed = 3;
  const std::optional<int> count = NumberFromEnvironment("LISTEN_FDS");
  if (count && NumberFromEnvironment("LISTEN_PID") == getpid()) {
    const char* const names = std::getenv("LISTEN_FDNAMES");
    std::istringstream list(names != nullptr ? names : "");
    std::string name;
    for (int i = 0; i < *count && std::getline(list, name, ':'); ++i) {
      inheritance.Add(name, kFirstPassed + i);
    }
  }
  const std::optional<int> state = NumberFromEnvironment(kStateVariable);
  if (state) inheritance.Add(kStateName, *state);
  for (const char* variable : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", kStateVariable}) {
    unsetenv(variable);
  }
  inheritance.ReadDocument();
  inheritance.has_execd_ = state && inheritance.document_.is_object() &&
                           inheritance.document_.value("pid", json()) == getpid();
  if (inheritance.has_execd_) {
    const json descriptors = inheritance.document_.value("descriptors", json::object());
    for (const auto& [name, number] : descriptors.items()) {
      if (number.is_number_integer()) inheritance.Add(name, number.get<int>());
    }
  }
  return inheritance;
}

void Inheritance::Add(const std::string& name, int fd) {
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return;  // nothing was passed there
  descriptors_[name] = FileDescriptor(fd);
  names_.push_back(name);
}

void Inheritance::ReadDocument() {
  const auto found = descriptors_.find(kStateName);
  if (found == descriptors_.end()) return;
  const StateFile file(FileDescriptor(fcntl(found->second.get(), F_DUPFD_CLOEXEC, 0)));
  const std::optional<std::string> text = file.Read();
  document_ = text ? json::parse(*text, nullptr, /*allow_exceptions=*/false) : json();
  if (!document_.is_object()) document_ = json();
}

void Inheritance::Check() const {
  const Estate own;
  for (const char* member : {"version", "session_layout", "session_size"}) {
    const auto found = document_.find(member);
    if (found != document_.end() && *found == own.document[member]) continue;
    throw Error(ErrorKind::kSystem,
                std::string("firnd ") + FIRN_VERSION + " cannot take over: expected a state of " +
                    member + " " + own.document[member].dump() + ", found " +
                    (found != document_.end() ? found->dump() : "none") + " of firnd " +
                    document_.value("program", json("of no version")).dump(),
                "Jobs keep their images. Images are attached anew to a firnd that is started "
                "afresh (with systemd: 'systemctl stop firnd', then start).");
  }
}

void Inheritance::Refuse(const std::vector<std::string>& kept) {
  document_ = json();
  std::erase_if(descriptors_, [&](const auto& entry) {
    return std::ranges::find(kept, entry.first) == kept.end();
  });
}

FileDescriptor Inheritance::Take(const std::string& name) {
  const auto found = descriptors_.find(name);
  if (found == descriptors_.end()) return FileDescriptor();
  FileDescriptor taken = std::move(found->second);
  descriptors_.erase(found);
  return taken;
}

FileDescriptor Inheritance::Require(const std::string& name) {
  FileDescriptor taken = Take(name);
  if (taken.valid()) return taken;
  throw Error(ErrorKind::kSystem,
              "expected the descriptor '" + name + "' of the firnd before, found none",
              "FileDescriptorStoreMax= of the unit may be too low.");
}

std::vector<int> Inheritance::numbers() const {
  std::vector<int> numbers;
  for (const auto& [name, fd] : descriptors_) numbers.push_back(fd.get());
  return numbers;
}

}  // namespace firn
