package redact

import (
	"slices"
	"strings"
)

// The functions in this file check the digits of numbers. They get the digits
// and upper-case letters without separators, in a length that the caller knows.

// digit returns the value of a digit.
func digit(s string, i int) int { return int(s[i] - '0') }

// number returns the value of digits.
func number(s string) int {
	n := 0
	for i := range len(s) {
		n = n*10 + digit(s, i)
	}
	return n
}

// weighted returns the sum of the first digits times weights.
func weighted(s string, weights ...int) int {
	sum := 0
	for i, w := range weights {
		sum += w * digit(s, i)
	}
	return sum
}

// luhn reports whether the last digit is that of Luhn's algorithm (ISO 7812).
func luhn(s string) bool {
	sum := 0
	for i := range len(s) {
		d := digit(s, len(s)-1-i)
		if i%2 == 1 {
			d *= 2
		}
		sum += d/10 + d%10
	}
	return sum%10 == 0
}

// mod97 returns the remainder of digits and letters (A is 10) when divided by 97.
func mod97(s string) int {
	n := 0
	for i := range len(s) {
		if c := s[i]; isDigit(c) {
			n = (n*10 + int(c-'0')) % 97
		} else {
			n = (n*100 + int(c-'A') + 10) % 97
		}
	}
	return n
}

// mod11by10 reports whether digits pass MOD 11,10 (ISO 7064).
func mod11by10(s string) bool {
	n := 10
	for i := range len(s) - 1 {
		if n = (n + digit(s, i)) % 10; n == 0 {
			n = 10
		}
		n = n * 2 % 11
	}
	return (n+digit(s, len(s)-1))%10 == 1
}

// verhoeffTimes and verhoeffTurns are the multiplication of the dihedral group of
// order ten, and the first of its permutations.
var (
	verhoeffTimes = [10]string{"0123456789", "1234067895", "2340178956", "3401289567", "4012395678", "5987604321", "6598710432", "7659821043", "8765932104", "9876543210"}
	verhoeffTurns = [8]string{"0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258"}
)

// verhoeff reports whether the last digit is that of Verhoeff's algorithm.
func verhoeff(s string) bool {
	c := 0
	for i := range len(s) {
		c = digit(verhoeffTimes[c], digit(verhoeffTurns[i%8], digit(s, len(s)-1-i)))
	}
	return c == 0
}

// dated reports whether digits are a day of a month, as two digits each.
func dated(day, month string) bool {
	d, m := number(day), number(month)
	return 1 <= d && d <= 31 && 1 <= m && m <= 12 && !(d > 30 && (m == 4 || m == 6 || m == 9 || m == 11)) && !(m == 2 && d > 29)
}

// same reports whether all digits are equal.
func same(s string) bool { return strings.Count(s, s[:1]) == len(s) }

// remainder11 is the check digit of a sum, where 10 and 11 become 0.
func remainder11(sum int) int {
	if r := 11 - sum%11; r < 10 {
		return r
	}
	return 0
}

func usSSN(s string) bool {
	return s[:3] != "000" && s[:3] != "666" && s[0] != '9' && s[3:5] != "00" && s[5:] != "0000" && !same(s)
}

func usITIN(s string) bool {
	g := number(s[3:5])
	return s[0] == '9' && (50 <= g && g <= 65 || 70 <= g && g <= 88 || 90 <= g && g <= 92 || 94 <= g && g <= 99)
}

func ukNINO(s string) bool {
	return !strings.ContainsRune("DFIQUV", rune(s[0])) && !strings.ContainsRune("DFIOQUV", rune(s[1])) && strings.ContainsRune("ABCD", rune(s[8])) &&
		!slices.Contains([]string{"BG", "GB", "NK", "KN", "TN", "NT", "ZZ"}, s[:2])
}

func ukNHS(s string) bool {
	c := 11 - weighted(s, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11
	return c%11 == digit(s, 9) && c != 10 && !same(s)
}

// deTaxID checks the check digit, and that exactly one of the first ten digits
// occurs two or three times.
func deTaxID(s string) bool {
	repeated := 0
	for d := range 10 {
		switch strings.Count(s[:10], string(rune('0'+d))) {
		case 0, 1:
		case 2, 3:
			repeated++
		default:
			return false
		}
	}
	return s[0] != '0' && repeated == 1 && mod11by10(s)
}

// frNIR checks a number of French social security, whose department is 2A or 2B
// in Corsica.
func frNIR(s string) bool {
	base := strings.NewReplacer("2A", "19", "2B", "18").Replace(s[:13])
	if len(digitsOf(base)) != 13 || len(digitsOf(s[13:])) != 2 {
		return false
	}
	month := number(s[3:5])
	return strings.ContainsRune("123478", rune(s[0])) && month >= 1 && (month <= 12 || month >= 20) && 97-mod97(base) == number(s[13:])
}

const spanishLetters = "TRWAGMYFPDXBNJZSQVHLCKE"

func esDNI(s string) bool { return spanishLetters[number(s[:8])%23] == s[8] }

func esNIE(s string) bool {
	first := strings.IndexByte("XYZ", s[0])
	return first >= 0 && spanishLetters[(first*10_000_000+number(s[1:8]))%23] == s[8]
}

// italianOdd are the values of 0–9 and A–Z at odd positions.
var italianOdd = [26]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}

func itFiscalCode(s string) bool {
	sum := 0
	for i := range 15 {
		v := int(s[i]) - 'A'
		if isDigit(s[i]) {
			v = digit(s, i)
		}
		if i%2 == 0 {
			v = italianOdd[v]
		}
		sum += v
	}
	// A digit can be replaced by a letter to keep codes distinct.
	for _, i := range []int{6, 7, 9, 10, 12, 13, 14} {
		if !isDigit(s[i]) && !strings.ContainsRune("LMNPQRSTUV", rune(s[i])) {
			return false
		}
	}
	return strings.ContainsRune("ABCDEHLMPRST", rune(s[8])) && byte('A'+sum%26) == s[15]
}

func nlBSN(s string) bool {
	return (weighted(s, 9, 8, 7, 6, 5, 4, 3, 2)-digit(s, 8))%11 == 0 && !same(s)
}

func plPESEL(s string) bool {
	month := number(s[2:4]) % 20
	return month <= 12 && dated(s[4:6], twoDigits(month)) && weighted(s, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)%10 == 0
}

func twoDigits(n int) string { return string([]byte{byte('0' + n/10%10), byte('0' + n%10)}) }

// sePersonal checks a Swedish number. Coordination numbers have 60 added to the
// day.
func sePersonal(s string) bool {
	s = s[len(s)-10:]
	return dated(twoDigits(number(s[4:6])%60), s[2:4]) && luhn(s)
}

func fiHETU(s string) bool {
	n := number(s[:6])*1000 + number(s[7:10])
	return dated(s[:2], s[2:4]) && strings.ContainsRune("-+ABCDEFUVWXY", rune(s[6])) && "0123456789ABCDEFHJKLMNPRSTUVWXY"[n%31] == s[10]
}

func dkCPR(s string) bool { return dated(s[:2], s[2:4]) && s[4:] != "000000" }

func noBirth(s string) bool {
	day := number(s[:2]) % 40
	a := weighted(s, 3, 7, 6, 1, 8, 9, 4, 5, 2, 1)
	b := weighted(s, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
	return dated(twoDigits(day), twoDigits(number(s[2:4])%40)) && a%11 == 0 && b%11 == 0
}

func beNational(s string) bool {
	check := number(s[9:])
	return (97-number(s[:9])%97 == check || 97-number("2"+s[:9])%97 == check) && number(s[2:4])%20 <= 12 && number(s[4:6]) <= 31
}

func ean13(s string) bool { return weighted(s, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1)%10 == 0 }

func atSVNR(s string) bool {
	return s[0] != '0' && weighted(s, 3, 7, 9, 0, 5, 8, 4, 2, 1, 6)%11 == digit(s, 3) && number(s[6:8]) <= 15 && dated(s[4:6], twoDigits(min(number(s[6:8]), 12)))
}

func ptNIF(s string) bool {
	return strings.ContainsRune("1235689", rune(s[0])) && remainder11(weighted(s, 9, 8, 7, 6, 5, 4, 3, 2)) == digit(s, 8) && !same(s)
}

func iePPS(s string) bool {
	sum := weighted(s, 8, 7, 6, 5, 4, 3, 2)
	if len(s) == 9 && s[8] != 'W' {
		sum += 9 * (int(s[8]-'A') + 1)
	}
	return "WABCDEFGHIJKLMNOPQRSTUV"[sum%23] == s[7]
}

func caSIN(s string) bool { return s[0] != '0' && s[0] != '8' && luhn(s) && !same(s) }

func auTFN(s string) bool { return weighted(s, 1, 4, 3, 7, 5, 8, 6, 9, 10)%11 == 0 && !same(s) }

func auMedicare(s string) bool {
	return '2' <= s[0] && s[0] <= '6' && weighted(s, 1, 3, 7, 9, 1, 3, 7, 9)%10 == digit(s, 8)
}

func brCPF(s string) bool {
	return !same(s) && remainder11(weighted(s, 10, 9, 8, 7, 6, 5, 4, 3, 2)) == digit(s, 9) &&
		remainder11(weighted(s, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2)) == digit(s, 10)
}

// brCNPJ checks the number of a Brazilian company, which can have letters in its
// first twelve places since 2026.
func brCNPJ(s string) bool {
	if len(digitsOf(s[12:])) != 2 || same(s) {
		return false
	}
	return remainder11(weighted(s, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) == digit(s, 12) &&
		remainder11(weighted(s, 6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) == digit(s, 13)
}

func arCUIT(s string) bool {
	return slices.Contains([]string{"20", "23", "24", "27", "30", "33", "34"}, s[:2]) &&
		"09987654321"[weighted(s, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)%11] == s[10]
}

func clRUT(s string) bool {
	sum, weight := 0, 2
	for i := len(s) - 2; i >= 0; i-- {
		sum += weight * digit(s, i)
		if weight++; weight > 7 {
			weight = 2
		}
	}
	return "0K987654321"[sum%11] == s[len(s)-1]
}

func mxCURP(s string) bool {
	const order = "0123456789ABCDEFGHIJKLMN&OPQRSTUVWXYZ"
	sum := 0
	for i := range 17 {
		sum += (18 - i) * strings.IndexByte(order, s[i])
	}
	return dated(s[8:10], s[6:8]) && strings.ContainsRune("HMX", rune(s[10])) && (10-sum%10)%10 == digit(s, 17)
}

func inAadhaar(s string) bool { return s[0] >= '2' && verhoeff(s) && !same(s) }

func inPAN(s string) bool { return strings.ContainsRune("ABCFGHLJPT", rune(s[3])) }

func cnResident(s string) bool {
	sum := weighted(s, 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
	return dated(s[12:14], s[10:12]) && (s[6:8] == "19" || s[6:8] == "20" || s[6:8] == "18") && "10X98765432"[sum%11] == s[17]
}

func krRRN(s string) bool { return dated(s[4:6], s[2:4]) && '1' <= s[6] && s[6] <= '8' }

func jpMyNumber(s string) bool {
	return remainder11(weighted(s, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) == digit(s, 11) && !same(s)
}

func sgNRIC(s string) bool {
	sum := weighted(s[1:], 2, 7, 6, 5, 4, 3, 2)
	switch s[0] {
	case 'S':
		return "JZIHGFEDCBA"[sum%11] == s[8]
	case 'T':
		return "JZIHGFEDCBA"[(sum+4)%11] == s[8]
	case 'F':
		return "XWUTRQPNMLK"[sum%11] == s[8]
	case 'G':
		return "XWUTRQPNMLK"[(sum+4)%11] == s[8]
	case 'M':
		return "KLJNPQRTUWX"[10-(sum+3)%11] == s[8]
	}
	return false
}

func hkID(s string) bool {
	letters := len(s) - 7
	sum := 36 * 9
	if letters == 2 {
		sum = (int(s[0]-'A') + 10) * 9
	}
	sum += (int(s[letters-1]-'A')+10)*8 + weighted(s[letters:], 7, 6, 5, 4, 3, 2)
	return "0A987654321"[sum%11] == s[len(s)-1]
}

func twID(s string) bool {
	// The letters in the order of their numbers, 10 to 35.
	first := strings.IndexByte("ABCDEFGHJKLMNPQRSTUVXYWZIO", s[0]) + 10
	return strings.ContainsRune("1289", rune(s[1])) && (first/10+first%10*9+weighted(s[1:], 8, 7, 6, 5, 4, 3, 2, 1, 1))%10 == 0
}

func thID(s string) bool {
	return s[0] != '0' && (11-weighted(s, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11)%10 == digit(s, 12)
}

func zaID(s string) bool {
	return dated(s[4:6], s[2:4]) && (s[10] == '0' || s[10] == '1' || s[10] == '2') && luhn(s)
}

func trID(s string) bool {
	odd := digit(s, 0) + digit(s, 2) + digit(s, 4) + digit(s, 6) + digit(s, 8)
	even := digit(s, 1) + digit(s, 3) + digit(s, 5) + digit(s, 7)
	return s[0] != '0' && (odd*7-even+100)%10 == digit(s, 9) && (odd+even+digit(s, 9))%10 == digit(s, 10)
}

func ruSNILS(s string) bool {
	return weighted(s, 9, 8, 7, 6, 5, 4, 3, 2, 1)%101%100 == number(s[9:]) && !same(s)
}

func ruINN(s string) bool {
	return weighted(s, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)%11%10 == digit(s, 10) && weighted(s, 3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)%11%10 == digit(s, 11) && !same(s)
}

func roCNP(s string) bool {
	county := number(s[7:9])
	return s[0] != '0' && (1 <= county && county <= 52 || county == 70 || 80 <= county && county <= 83) && dated(s[5:7], s[3:5]) && "01234567891"[weighted(s, 2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)%11] == s[12]
}

func bgEGN(s string) bool {
	return dated(s[4:6], twoDigits(number(s[2:4])%20)) && weighted(s, 2, 4, 8, 5, 10, 9, 7, 3, 6)%11%10 == digit(s, 9)
}

func czBirth(s string) bool {
	month := number(s[2:4]) % 50 % 20
	return dated(s[4:6], twoDigits(month)) && (number(s)%11 == 0 || number(s[:9])%11 == 10 && s[9] == '0')
}

func eeID(s string) bool {
	if s[0] < '1' || s[0] > '8' || !dated(s[5:7], s[3:5]) {
		return false
	}
	c := weighted(s, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1) % 11
	if c == 10 {
		c = weighted(s, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3) % 11 % 10
	}
	return c == digit(s, 10)
}

func siEMSO(s string) bool {
	return dated(s[:2], s[2:4]) && remainder11(weighted(s, 7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) == digit(s, 12)
}

func grAMKA(s string) bool { return dated(s[:2], s[2:4]) && luhn(s) }

func isKennitala(s string) bool {
	day := number(s[:2]) % 40
	return dated(twoDigits(day), s[2:4]) && (weighted(s, 3, 2, 7, 6, 5, 4, 3, 2)+digit(s, 8))%11 == 0 && (s[9] == '9' || s[9] == '0' || s[9] == '8')
}
