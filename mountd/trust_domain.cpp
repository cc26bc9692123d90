#include "mountd/trust_domain.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace firn {

std::string TrustDomain::PlainName() const {
  std::string name = Name();
  std::ranges::replace(name, ':', '-');
  return name;
}

std::string TrustDomain::Described() const {
  return is_of_key() ? "signed by " + key : "of uid " + std::to_string(owner);
}

void to_json(nlohmann::json& json, const TrustDomain& domain) {
  if (domain.is_of_key()) {
    json = domain.key;
  } else {
    json = domain.owner;
  }
}

TrustDomain TrustDomainFrom(const nlohmann::json& json) {
  if (json.is_string()) return TrustDomain::OfKey(json.get<std::string>());
  return TrustDomain::OfOwner(json.get<uid_t>());
}

}  // namespace firn
