package redact

import "strings"

// national is a number that a state gives to people or companies.
type national struct {
	kind  string
	about string
	// shapes are the ways to write it: d is a digit, A a letter, n a digit or a
	// letter, * a letter that fiHETU checks or a sign. A space in a shape is a
	// space or a dash, ? makes the separator before it optional, and any other
	// character is itself. A shape that begins with ~ is too common to count
	// unless a word that names the number is near.
	shapes []string
	check  func(compact string) bool
	words  []string
}

// nationals are the numbers with a kind of their own, in the order in which they
// are tried.
var nationals = []national{
	{"us_ssn", "US Social Security number", []string{"ddd-dd-dddd", "ddd dd dddd", "~ddddddddd"}, usSSN, []string{"ssn", "social security", "social"}},
	{"us_itin", "US individual taxpayer identification number", []string{"ddd-dd-dddd", "ddd dd dddd", "~ddddddddd"}, usITIN, []string{"itin", "taxpayer", "tax id"}},
	{"uk_nino", "UK National Insurance number", []string{"AA ?dd ?dd ?dd ?A"}, ukNINO, nil},
	{"uk_nhs", "UK NHS number", []string{"~ddd ?ddd ?dddd"}, ukNHS, []string{"nhs", "national health", "patient"}},
	{"de_tax_id", "German tax identification number", []string{"dd ddd ddd ddd", "ddddddddddd"}, deTaxID, []string{"steuer-id", "steueridentifikationsnummer", "steuernummer", "idnr", "german tax id"}},
	{"fr_nir", "French social security number", []string{"d ?dd ?dd ?dn ?ddd ?ddd ?dd"}, frNIR, []string{"nir", "sécurité sociale", "securite sociale"}},
	{"es_dni", "Spanish identity number", []string{"dddddddd ?A", "dd.ddd.ddd-A"}, esDNI, nil},
	{"es_nie", "Spanish foreigner number", []string{"A ?ddddddd ?A"}, esNIE, nil},
	{"it_fiscal_code", "Italian codice fiscale", []string{"AAA ?AAA ?nnAnn ?Annn ?A"}, itFiscalCode, nil},
	{"nl_bsn", "Dutch citizen service number", []string{"dddd.dd.ddd", "~ddd ?ddd ?ddd"}, nlBSN, []string{"bsn", "burgerservicenummer", "sofinummer", "sofi", "citizen service"}},
	{"pl_pesel", "Polish PESEL", []string{"ddddddddddd"}, plPESEL, []string{"pesel"}},
	{"se_personal", "Swedish personal identity number", []string{"dddddd-dddd", "dddddd+dddd", "dddddddd-dddd", "dddddddddddd", "~dddddddddd"}, sePersonal, []string{"personnummer", "samordningsnummer", "personal identity", "pnr"}},
	{"fi_hetu", "Finnish personal identity code", []string{"dddddd*dddn"}, fiHETU, nil},
	{"dk_cpr", "Danish CPR number", []string{"dddddd-dddd", "~dddddddddd"}, dkCPR, []string{"cpr", "personnummer"}},
	{"no_birth_number", "Norwegian birth number", []string{"dddddd ?ddddd"}, noBirth, []string{"fødselsnummer", "fodselsnummer", "personnummer"}},
	{"be_national", "Belgian national number", []string{"dd.dd.dd-ddd.dd", "dd.dd.dd ddd dd", "ddddddddddd"}, beNational, []string{"rijksregisternummer", "registre national", "niss"}},
	{"ch_ahv", "Swiss social security number", []string{"756.dddd.dddd.dd", "756 ?dddd ?dddd ?dd"}, ean13, nil},
	{"at_svnr", "Austrian social security number", []string{"dddd ?dddddd"}, atSVNR, []string{"svnr", "sozialversicherungsnummer", "sv-nummer"}},
	{"pt_nif", "Portuguese tax number", []string{"~ddd ?ddd ?ddd"}, ptNIF, []string{"nif", "contribuinte", "número fiscal"}},
	{"ie_pps", "Irish PPS number", []string{"dddddddA", "dddddddAA"}, iePPS, nil},
	{"ca_sin", "Canadian social insurance number", []string{"ddd ddd ddd", "~ddddddddd"}, caSIN, []string{"sin", "social insurance", "assurance sociale", "nas"}},
	{"au_tfn", "Australian tax file number", []string{"~ddd ?ddd ?ddd"}, auTFN, []string{"tfn", "tax file"}},
	{"au_medicare", "Australian Medicare number", []string{"dddd ddddd d", "~dddddddddd"}, auMedicare, []string{"medicare"}},
	{"br_cpf", "Brazilian CPF", []string{"ddd.ddd.ddd-dd", "ddddddddddd"}, brCPF, []string{"cpf"}},
	{"br_cnpj", "Brazilian CNPJ", []string{"nn.nnn.nnn/nnnn-dd", "dddddddddddddd"}, brCNPJ, []string{"cnpj"}},
	{"ar_cuit", "Argentine CUIT or CUIL", []string{"dd ?dddddddd ?d"}, arCUIT, []string{"cuit", "cuil"}},
	{"cl_rut", "Chilean RUT", []string{"dd.ddd.ddd-n", "d.ddd.ddd-n", "dddddddd-n", "ddddddd-n"}, clRUT, nil},
	{"mx_curp", "Mexican CURP", []string{"AAAAddddddAAAAAAnd"}, mxCURP, nil},
	{"in_aadhaar", "Indian Aadhaar number", []string{"dddd dddd dddd", "~dddddddddddd"}, inAadhaar, []string{"aadhaar", "aadhar", "uid", "uidai"}},
	{"in_pan", "Indian permanent account number", []string{"AAAAAddddA"}, inPAN, nil},
	{"cn_resident", "Chinese resident identity number", []string{"dddddddddddddddddn"}, cnResident, nil},
	{"kr_rrn", "South Korean resident registration number", []string{"dddddd-ddddddd"}, krRRN, nil},
	{"jp_my_number", "Japanese My Number", []string{"~dddd ?dddd ?dddd"}, jpMyNumber, []string{"my number", "マイナンバー", "個人番号"}},
	{"sg_nric", "Singaporean NRIC or FIN", []string{"AdddddddA"}, sgNRIC, nil},
	{"hk_id", "Hong Kong identity card number", []string{"Adddddd(n)", "AAdddddd(n)"}, hkID, nil},
	{"tw_id", "Taiwanese identity number", []string{"Addddddddd"}, twID, nil},
	{"th_id", "Thai identity number", []string{"d dddd ddddd dd d", "~ddddddddddddd"}, thID, []string{"thai id", "national id", "บัตรประชาชน"}},
	{"za_id", "South African identity number", []string{"dddddd ?dddd ?ddd"}, zaID, []string{"south african id", "rsa id"}},
	{"tr_id", "Turkish identity number", []string{"ddddddddddd"}, trID, []string{"kimlik", "tckn"}},
	{"il_id", "Israeli identity number", []string{"~ddddddddd"}, luhn, []string{"teudat", "israeli", "ת.ז", "תעודת זהות"}},
	{"ru_snils", "Russian SNILS", []string{"ddd-ddd-ddd dd", "~ddddddddddd"}, ruSNILS, []string{"snils", "снилс"}},
	{"ru_inn", "Russian INN of a person", []string{"dddddddddddd"}, ruINN, []string{"inn", "инн"}},
	{"ro_cnp", "Romanian CNP", []string{"ddddddddddddd"}, roCNP, []string{"cnp"}},
	{"bg_egn", "Bulgarian EGN", []string{"~dddddddddd"}, bgEGN, []string{"egn", "егн"}},
	{"cz_birth_number", "Czech or Slovak birth number", []string{"dddddd/dddd"}, czBirth, []string{"rodné číslo", "rodne cislo"}},
	{"ee_id", "Estonian or Lithuanian personal code", []string{"ddddddddddd"}, eeID, []string{"isikukood", "asmens kodas"}},
	{"si_emso", "Slovenian EMŠO or another number of the former JMBG", []string{"ddddddddddddd"}, siEMSO, []string{"emšo", "emso", "jmbg", "емшо", "јмбг"}},
	{"gr_amka", "Greek AMKA", []string{"ddddddddddd"}, grAMKA, []string{"amka", "αμκα"}},
	{"hr_oib", "Croatian OIB", []string{"~ddddddddddd"}, mod11by10, []string{"oib"}},
	{"is_kennitala", "Icelandic kennitala", []string{"dddddd-dddd", "~dddddddddd"}, isKennitala, []string{"kennitala"}},
}

// findNational finds the number of a kind that begins at i.
func (d *detector) findNational(n *national, text string, i int) (match, bool) {
	for _, shape := range n.shapes {
		shape, common := strings.CutPrefix(shape, "~")
		end, compact := readShape(text, i, shape)
		if end < 0 || !endsNumber(text, end) || !n.check(compact) {
			continue
		}
		named := d.near(text, i, end, n.words)
		if !named && (common && !d.bare || inSequence(text, i, end)) {
			continue
		}
		return match{start: i, end: end, kind: n.kind, value: compact, named: named}, true
	}
	return match{}, false
}

// readShape reads what a shape describes at i. It returns the end, or -1, and the
// letters and digits, in upper case.
func readShape(text string, i int, shape string) (end int, compact string) {
	var b [24]byte
	n := 0
	for k := 0; k < len(shape); k++ {
		optional := k+1 < len(shape) && shape[k+1] == '?'
		c := byte(0)
		if i < len(text) {
			c = text[i]
		}
		fits := false
		switch shape[k] {
		case 'd':
			fits = isDigit(c)
		case 'A':
			fits = isLetter(c)
		case 'n':
			fits = isAlnum(c)
		case '*':
			fits = c == '-' || c == '+' || isLetter(c)
		case ' ':
			fits = c == ' ' || c == '-'
		default:
			fits = c == shape[k]
		}
		if !fits && !optional {
			return -1, ""
		}
		if fits {
			if i++; isAlnum(c) || shape[k] == '*' {
				if isLetter(c) {
					c &^= 0x20
				}
				b[n] = c
				n++
			}
		}
		if optional {
			k++
		}
	}
	return i, string(b[:n])
}
