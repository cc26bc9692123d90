#ifndef FIRN_MOUNTD_TRUST_DOMAIN_H_
#define FIRN_MOUNTD_TRUST_DOMAIN_H_

#include <sys/types.h>

#include <compare>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace firn {

// Whose images share a pool: those of one owner of image files, or those that one trusted key has
// signed, whoever owns the files. Each byte of the latter is proved by what was signed.
struct TrustDomain {
  uid_t owner = 0;
  std::string key{};  // as FormatKey() has it; empty for an owner's

  static TrustDomain OfOwner(uid_t owner) { return {.owner = owner}; }
  static TrustDomain OfKey(std::string key) { return {.owner = 0, .key = std::move(key)}; }

  auto operator<=>(const TrustDomain&) const = default;

  bool is_of_key() const { return !key.empty(); }
  // "1000", or "ed25519:…".
  std::string Name() const { return is_of_key() ? key : std::to_string(owner); }
  // The same of letters, digits and '-'.
  std::string PlainName() const;
  // "of uid 1000", "signed by ed25519:…".
  std::string Described() const;
};

// A number for an owner's, a text for a key's.
void to_json(nlohmann::json& json, const TrustDomain& domain);
// Throws nlohmann::json::exception.
TrustDomain TrustDomainFrom(const nlohmann::json& json);

}  // namespace firn

#endif  // FIRN_MOUNTD_TRUST_DOMAIN_H_
