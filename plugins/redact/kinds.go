package redact

import (
	"slices"
	"strings"
)

// Kinds other than numbers that states give, which are in nationals.
const (
	kindEmail       = "email"
	kindPhone       = "phone"
	kindIBAN        = "iban"
	kindCard        = "card"
	kindIP          = "ip"
	kindMAC         = "mac"
	kindWallet      = "wallet"
	kindCredentials = "credentials"
	kindSecret      = "secret"
)

// groupNational is the group of all numbers that states give.
const groupNational = "national_id"

var commonKinds = []string{kindEmail, kindPhone, kindIBAN, kindCard, kindIP, kindMAC, kindWallet, kindCredentials, kindSecret}

// phoneWords are words that say that a number is a phone number.
var phoneWords = []string{
	"phone", "telephone", "tel", "call", "calling", "mobile", "cell", "cellphone", "fax", "whatsapp", "sms", "dial", "ring", "contact", "phone number",
	"telefon", "telefonnummer", "handy", "mobil", "rufnummer", "telefono", "teléfono", "móvil", "celular", "cellulare", "téléphone", "tél", "portable", "telefone", "telemóvel", "telefoon",
	"puhelin", "тел", "телефон", "τηλέφωνο", "电话", "手机", "電話", "携帯", "전화",
}

// kindsOf returns the kinds that a name means: itself, or those of a group.
func kindsOf(name string) []string {
	if name == groupNational {
		all := make([]string, len(nationals))
		for i, n := range nationals {
			all[i] = n.kind
		}
		return all
	}
	if slices.Contains(commonKinds, name) || slices.ContainsFunc(nationals, func(n national) bool { return n.kind == name }) {
		return []string{name}
	}
	return nil
}

// kindNames returns the names that users can write.
func kindNames() []string { return append(slices.Clone(commonKinds), groupNational) }

// describeNationals lists the kinds of numbers that states give, for the docs.
func describeNationals() string {
	lines := make([]string, len(nationals))
	for i, n := range nationals {
		lines[i] = "`" + n.kind + "` (" + n.about + ")"
	}
	return strings.Join(lines, ", ")
}
