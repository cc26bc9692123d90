#include "mountd/log_journal.h"

#include "format/error.h"

#ifdef FIRN_HAVE_LIBSYSTEMD

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <spdlog/sinks/base_sink.h>
#include <sys/syslog.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "mountd/log_fields.h"

namespace firn {
namespace {

constexpr char kJournalSocket[] = "/run/systemd/journal/socket";

int JournalPriority(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return LOG_DEBUG;
    case spdlog::level::info:
      return LOG_INFO;
    case spdlog::level::warn:
      return LOG_WARNING;
    default:
      return LOG_ERR;
  }
}

std::string JournalField(const LogField& field) {
  std::string text = "FIRN_";
  for (const char c : field.name) {
    text += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  text += '=';
  const auto* number = std::get_if<uint64_t>(&field.value);
  return text + (number != nullptr ? std::to_string(*number) : std::get<std::string>(field.value));
}

class JournalSink : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    std::vector<std::string> fields = {
        "MESSAGE=" + std::string(message.payload.data(), message.payload.size()),
        "PRIORITY=" + std::to_string(JournalPriority(message.level)), "SYSLOG_IDENTIFIER=firnd"};
    VisitLogFields([&](const LogField& field) { fields.push_back(JournalField(field)); });
    std::vector<iovec> vector;
    for (std::string& field : fields) vector.push_back({field.data(), field.size()});
    const int result = sd_journal_sendv(vector.data(), static_cast<int>(vector.size()));
    if (result < 0) throw spdlog::spdlog_ex("cannot write to the journal", -result);
  }
  void flush_() override {}
};

}  // namespace

bool HasJournalSupport() { return true; }

spdlog::sink_ptr MakeJournalSink() {
  if (access(kJournalSocket, W_OK) != 0) {
    throw SystemError(ErrorKind::kSystem, errno, "expected systemd's journal to listen here",
                      "Choose another destination for the log: see firnd.yaml(5).")
        .WithPath(kJournalSocket);
  }
  return std::make_shared<JournalSink>();
}

}  // namespace firn

#else

namespace firn {

bool HasJournalSupport() { return false; }

spdlog::sink_ptr MakeJournalSink() {
  throw Error(ErrorKind::kSystem, "this firnd was built without libsystemd, so it has no journal",
              "Choose another destination for the log: see firnd.yaml(5).");
}

}  // namespace firn

#endif
