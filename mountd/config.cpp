#include "mountd/config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <span>

#include "format/error.h"
#include "format/file.h"
#include "mountd/config_reader.h"
#include "mountd/log_journal.h"

namespace firn {
namespace {

constexpr size_t kLongestConfig = 1 << 20;
constexpr uint64_t kMostCacheBytes = uint64_t{1} << 40;
constexpr unsigned kMostSeconds = 365 * 86400;
constexpr unsigned kMostBackground = 65535;  // what FUSE's INIT has room for

using ConfigKey = ConfigReader::Key<Config>;
using LogKey = ConfigReader::Key<LogSettings>;

const LogKey kLogKeys[] = {
    {"level",
     [](ConfigReader& reader, const ConfigReader::Value& value, LogSettings& log) {
       reader.ReadName(value, kLogLevelNames, ParseLogLevel, log.level);
     }},
    {"format",
     [](ConfigReader& reader, const ConfigReader::Value& value, LogSettings& log) {
       reader.ReadName(value, kLogFormatNames, ParseLogFormat, log.format);
     }},
    {"destination",
     [](ConfigReader& reader, const ConfigReader::Value& value, LogSettings& log) {
       reader.ReadName(value, kLogDestinationNames, ParseLogDestination, log.destination);
       if (log.destination == LogDestination::kJournal && !HasJournalSupport()) {
         reader.AddMistake(value, "this firnd was built without libsystemd, so it has no journal");
       }
     }},
    {"file", [](ConfigReader& reader, const ConfigReader::Value& value,
                LogSettings& log) { reader.ReadAbsolutePath(value, log.file); }},
};

template <size_t NodeLimits::*limit, size_t most>
constexpr auto kReadLimit =
    [](ConfigReader& reader, const ConfigReader::Value& value, NodeLimits& limits) {
      reader.ReadNumber(value, 1, most, limits.*limit);
    };

// A pool has 4096 slots; the others are a matter of memory.
const ConfigReader::Key<NodeLimits> kLimitKeys[] = {
    {"images_per_user", kReadLimit<&NodeLimits::images_per_user, 4096>},
    {"owners_per_user", kReadLimit<&NodeLimits::owners_per_user, 4096>},
    {"leases_per_user", kReadLimit<&NodeLimits::leases_per_user, 1'000'000>},
    {"clients_per_user", kReadLimit<&NodeLimits::clients_per_user, 100'000>},
    {"clients", kReadLimit<&NodeLimits::clients, 100'000>},
};

const ConfigReader::Key<MetricsAddress> kMetricsKeys[] = {
    {"listen",
     [](ConfigReader& reader, const ConfigReader::Value& value, MetricsAddress& address) {
       reader.ReadName(value, kMetricsAddresses, ParseMetricsAddress, address);
     }},
};

void ReadLog(ConfigReader& reader, const ConfigReader::Value& value, Config& config) {
  const size_t mistakes = reader.mistake_count();
  reader.ReadMapping<LogSettings>(value, kLogKeys, config.log);
  if (reader.mistake_count() != mistakes) return;
  const bool is_to_file = config.log.destination == LogDestination::kFile;
  if (is_to_file && config.log.file.empty()) {
    reader.AddMistake(value, "destination: file needs file: PATH beside it");
  } else if (!is_to_file && !config.log.file.empty()) {
    reader.AddMistake(value, "file: needs destination: file beside it");
  }
}

// The keys are read with the configuration, and last as long as that.
void ReadTrustedKeys(ConfigReader& reader, const ConfigReader::Value& value, Config& config) {
  const size_t mistakes = reader.mistake_count();
  reader.ReadAbsolutePath(value, config.trust.directory);
  if (reader.mistake_count() != mistakes) return;
  try {
    config.trust.keys = TrustedKeys::Load(config.trust.directory);
  } catch (const Error& error) {
    reader.AddMistake(value, "trusted_keys: " + error.path() + ": " + error.message());
  }
}

const ConfigKey kConfigKeys[] = {
    {"cache_size",
     [](ConfigReader& reader, const ConfigReader::Value& value, Config& config) {
       reader.ReadSize(value, 1, kMostCacheBytes, config.cache_bytes);
     }},
    {"threads", [](ConfigReader& reader, const ConfigReader::Value& value,
                   Config& config) { reader.ReadNumber(value, 1, kMostThreads, config.threads); }},
    {"prefetch", [](ConfigReader& reader, const ConfigReader::Value& value,
                    Config& config) { reader.ReadBool(value, config.prefetch); }},
    {"view",
     [](ConfigReader& reader, const ConfigReader::Value& value, Config& config) {
       reader.ReadName(value, "auto, overlay or direct", ParseViewChoice, config.view);
     }},
    {"max_background",
     [](ConfigReader& reader, const ConfigReader::Value& value, Config& config) {
       reader.ReadNumber(value, 1, kMostBackground, config.max_background);
     }},
    {"selinux_context",
     [](ConfigReader& reader, const ConfigReader::Value& value, Config& config) {
       reader.ReadSelinuxContext(value, config.selinux_context);
     }},
    {"linger", [](ConfigReader& reader, const ConfigReader::Value& value,
                  Config& config) { reader.ReadNumber(value, 0, kMostSeconds, config.linger); }},
    {"idle_exit",
     [](ConfigReader& reader, const ConfigReader::Value& value, Config& config) {
       reader.ReadNumber(value, 0, kMostSeconds, config.idle_exit);
     }},
    {"limits",
     [](ConfigReader& reader, const ConfigReader::Value& value, Config& config) {
       reader.ReadMapping<NodeLimits>(value, kLimitKeys, config.limits);
     }},
    {"metrics",
     [](ConfigReader& reader, const ConfigReader::Value& value, Config& config) {
       reader.ReadMapping<MetricsAddress>(value, kMetricsKeys, config.metrics);
     }},
    {"verify",
     [](ConfigReader& reader, const ConfigReader::Value& value, Config& config) {
       ExtentCheck check{};
       const size_t mistakes = reader.mistake_count();
       reader.ReadName(value, "checksum or proof", ParseExtentCheck, check);
       if (reader.mistake_count() == mistakes) config.verify = check;
     }},
    {"policy",
     [](ConfigReader& reader, const ConfigReader::Value& value, Config& config) {
       reader.ReadName(value, "any, owner or signed", ParseImagePolicy, config.trust.policy);
       reader.SetPolicyPlace(value);
     }},
    {"trusted_keys", ReadTrustedKeys},
    {"log", ReadLog},
};

void RequireTrusted(const FileDescriptor& file, const std::string& path) {
  struct stat status {};
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::kInput,
                "expected a regular file as configuration, found another kind of file")
        .WithPath(path);
  }
  if (geteuid() != 0) return;
  const std::string remedy = "Give it to root and take that right away (chown root, chmod go-w).";
  if (status.st_uid != 0) {
    throw Error(ErrorKind::kInput,
                "root takes no configuration that belongs to uid " + std::to_string(status.st_uid),
                remedy)
        .WithPath(path);
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    throw Error(ErrorKind::kInput,
                "root takes no configuration that its group or others may write to", remedy)
        .WithPath(path);
  }
}

// Nothing where the file is missing and may be.
std::optional<std::string> ReadConfigFile(const std::string& path, bool may_be_missing) {
  // Not to be held by a fifo.
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) {
    if (errno == ENOENT && may_be_missing) return std::nullopt;
    throw SystemError(ErrorKind::kInput, errno, "cannot open the configuration",
                      "Every user's firnd reads it: it must be there and readable (mode 0644).")
        .WithPath(path);
  }
  RequireTrusted(file, path);
  std::string text(kLongestConfig + 1, '\0');
  text.resize(ReadAt(file.get(), 0, std::as_writable_bytes(std::span(text))));
  if (text.size() <= kLongestConfig) return text;
  throw Error(ErrorKind::kInput, "expected a configuration of at most 1 MiB, found a longer file")
      .WithPath(path);
}

}  // namespace

ExtentCheck Config::CheckOfExtents() const {
  const bool is_signed = trust.policy == ImagePolicy::kSigned;
  return verify.value_or(is_signed ? ExtentCheck::kProof : ExtentCheck::kChecksum);
}

Config ParseConfig(const std::string& yaml, const std::string& name) {
  Config config;
  ConfigReader reader(name);
  reader.ReadDocument<Config>(yaml, kConfigKeys, config);
  const bool needs_keys = config.trust.policy == ImagePolicy::kSigned;
  if (needs_keys && config.trust.directory.empty() && reader.mistake_count() == 0) {
    reader.AddMistake(*reader.policy_place(), "policy: signed needs trusted_keys: DIR beside it");
  }
  reader.ThrowMistakes();
  // What a site says of the file holds for every user; not every user may write to it.
  config.log.file_is_optional = geteuid() != 0;
  return config;
}

Config LoadConfig(const std::string& path) {
  const std::string name = path.empty() ? kConfigPath : path;
  const std::optional<std::string> text = ReadConfigFile(name, path.empty());
  return text ? ParseConfig(*text, name) : Config();
}

}  // namespace firn
