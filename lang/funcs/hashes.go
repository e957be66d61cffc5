package funcs

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"

	"github.com/google/uuid"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

var hashFunctions = []entry{
	describe("base64sha256", "The SHA-256 of a string, as Base64.", `base64sha256("a")`, `"ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs="`, digestFunc(sha256.New, inBase64)),
	describe("base64sha512", "The SHA-512 of a string, as Base64.", `base64sha512("a")`, `"H0D8ktokFpR1CXnubPWC8tXX0o4YM13gWrxU0FYOD1MChgxlK/CNVgJSql50IQVG82n7u86MEs/HlXsmUv6adQ=="`, digestFunc(sha512.New, inBase64)),
	describe("md5", "The MD5 of a string, in hexadecimal.", `md5("a")`, `"0cc175b9c0f1b6a831c399e269772661"`, digestFunc(md5.New, hex.EncodeToString)),
	describe("sha1", "The SHA-1 of a string, in hexadecimal.", `sha1("a")`, `"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"`, digestFunc(sha1.New, hex.EncodeToString)),
	describe("sha256", "The SHA-256 of a string, in hexadecimal.", `sha256("a")`, `"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"`, digestFunc(sha256.New, hex.EncodeToString)),
	describe("sha512", "The SHA-512 of a string, in hexadecimal.", `substr(sha512("a"), 0, 16)`, `"1f40fc92da241694"`, digestFunc(sha512.New, hex.EncodeToString)),
	describe("uuid", "A random UUID, different on every call. Refused where it would become part of a key, because nothing that depends on it could be reused.", `uuid()`, ``, uuidFunc),
	describe("uuidv5", "The version 5 UUID of a name in a namespace: dns, url, oid, x500, or a UUID.", `uuidv5("dns", "example.com")`, `"cfbff0d1-9375-5685-968c-48ce8b15ae17"`, uuidV5Func),
}

func inBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func digestFunc(algorithm func() hash.Hash, encode func([]byte) string) function.Function {
	return stringFunc("str", func(s string) (string, error) {
		h := algorithm()
		h.Write([]byte(s))
		return encode(h.Sum(nil)), nil
	})
}

var uuidFunc = function.New(&function.Spec{
	Type:         function.StaticReturnType(cty.String),
	RefineResult: notNull,
	Impl: func([]cty.Value, cty.Type) (cty.Value, error) {
		id, err := uuid.NewRandom()
		return cty.StringVal(id.String()), err
	},
})

var namespaces = map[string]uuid.UUID{
	"dns": uuid.NameSpaceDNS, "url": uuid.NameSpaceURL, "oid": uuid.NameSpaceOID, "x500": uuid.NameSpaceX500,
}

var uuidV5Func = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "namespace", Type: cty.String}, {Name: "name", Type: cty.String}},
	Type:         function.StaticReturnType(cty.String),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		space, ok := namespaces[args[0].AsString()]
		if !ok {
			var err error
			if space, err = uuid.Parse(args[0].AsString()); err != nil {
				return cty.NilVal, function.NewArgError(0, errors.New("the namespace must be dns, url, oid, x500, or a UUID"))
			}
		}
		return cty.StringVal(uuid.NewSHA1(space, []byte(args[1].AsString())).String()), nil
	},
})
