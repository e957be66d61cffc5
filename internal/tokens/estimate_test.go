package tokens

import (
	"math"
	"testing"
)

// samples contains requests for an ordered card in many languages, and other
// kinds of text that occur in prompts.
var samples = map[string]string{
	"English":            "The card that I ordered two weeks ago has not arrived yet. Could you please tell me where it is and what I should do next?",
	"German":             "Die Karte, die ich vor zwei Wochen bestellt habe, ist noch nicht angekommen. Können Sie mir bitte sagen, wo sie ist?",
	"French":             "La carte que j'ai commandée il y a deux semaines n'est pas encore arrivée. Pouvez-vous me dire où elle se trouve ?",
	"Polish":             "Karta, którą zamówiłem dwa tygodnie temu, jeszcze nie dotarła. Czy możecie mi powiedzieć, gdzie ona teraz jest?",
	"Vietnamese":         "Thẻ mà tôi đặt cách đây hai tuần vẫn chưa đến. Bạn có thể cho tôi biết nó đang ở đâu và tôi nên làm gì không?",
	"Turkish":            "İki hafta önce sipariş ettiğim kart henüz gelmedi. Lütfen bana nerede olduğunu ve ne yapmam gerektiğini söyler misiniz?",
	"Chinese":            "我两周前订购的卡还没有到。请问它现在在哪里,我接下来应该怎么做?如果丢失了,能不能重新寄一张给我?",
	"TraditionalChinese": "我兩週前訂購的卡還沒有到。請問它現在在哪裡,我接下來應該怎麼做?如果遺失了,能不能重新寄一張給我?",
	"Japanese":           "二週間前に注文したカードがまだ届いていません。今どこにあるのか、次に何をすればよいのか教えていただけますか。",
	"Katakana":           "インターネットバンキングのパスワードをリセットするためのメールアドレスをアップデートしてください。",
	"Korean":             "2주 전에 주문한 카드가 아직 도착하지 않았습니다. 지금 어디에 있는지, 제가 무엇을 해야 하는지 알려 주시겠습니까?",
	"Russian":            "Карта, которую я заказал две недели назад, до сих пор не пришла. Подскажите, пожалуйста, где она сейчас находится?",
	"Ukrainian":          "Картка, яку я замовив два тижні тому, досі не надійшла. Підкажіть, будь ласка, де вона зараз і що мені робити далі?",
	"Greek":              "Η κάρτα που παρήγγειλα πριν από δύο εβδομάδες δεν έχει φτάσει ακόμα. Μπορείτε να μου πείτε πού βρίσκεται;",
	"Arabic":             "البطاقة التي طلبتها قبل أسبوعين لم تصل بعد. هل يمكنكم إخباري بمكانها وماذا يجب أن أفعل الآن؟",
	"Persian":            "کارتی که دو هفته پیش سفارش دادم هنوز نرسیده است. لطفاً بگویید الان کجاست و چه کار باید بکنم؟",
	"Hebrew":             "הכרטיס שהזמנתי לפני שבועיים עדיין לא הגיע. האם תוכלו לומר לי היכן הוא נמצא ומה עליי לעשות?",
	"Hindi":              "दो हफ्ते पहले मैंने जो कार्ड मंगवाया था वह अभी तक नहीं आया है। कृपया मुझे बताएं कि वह कहाँ है और मुझे क्या करना चाहिए?",
	"Bengali":            "দুই সপ্তাহ আগে আমি যে কার্ডটি অর্ডার করেছিলাম তা এখনও আসেনি। দয়া করে বলুন এটি এখন কোথায় আছে?",
	"Tamil":              "இரண்டு வாரங்களுக்கு முன்பு நான் ஆர்டர் செய்த அட்டை இன்னும் வரவில்லை. அது எங்கே இருக்கிறது என்று சொல்ல முடியுமா?",
	"Telugu":             "రెండు వారాల క్రితం నేను ఆర్డర్ చేసిన కార్డు ఇంకా రాలేదు. దయచేసి అది ఎక్కడ ఉందో చెప్పగలరా?",
	"Thai":               "บัตรที่ฉันสั่งซื้อเมื่อสองสัปดาห์ก่อนยังมาไม่ถึง กรุณาบอกฉันได้ไหมว่าตอนนี้อยู่ที่ไหนและฉันควรทำอย่างไร",
	"Georgian":           "ბარათი, რომელიც ორი კვირის წინ შევუკვეთე, ჯერ არ მოსულა. გთხოვთ, მითხრათ, სად არის ახლა?",
	"Armenian":           "Երկու շաբաթ առաջ պատվիրած քարտս դեռ չի հասել։ Խնդրում եմ ասեք, թե որտեղ է այն հիմա։",
	"Amharic":            "ከሁለት ሳምንት በፊት ያዘዝኩት ካርድ እስካሁን አልደረሰም። እባክዎ የት እንዳለ ይንገሩኝ።",
	"Khmer":              "កាតដែលខ្ញុំបានបញ្ជាទិញកាលពីពីរសប្តាហ៍មុនមិនទាន់មកដល់នៅឡើយទេ។",
	"Burmese":            "လွန်ခဲ့သော နှစ်ပတ်က မှာထားသော ကတ်သည် မရောက်သေးပါ။",
	"Emoji":              "😀😂🎉🔥👍🏽🙏🚀🥑🦊🧡🤔🤷‍♀️🇩🇪🇯🇵👨‍👩‍👧‍👦🐙🍕🎸🏔️🛰️",
	"EmojiText":          "Love it!! 😍😍🔥 but shipping took forever 😡📦 never again 🙅‍♂️",
	"Numbers":            "2026-11-29 18:45:01, 4815162342, 3.14159265, 1000000, +49 170 1234567, 192.168.0.1, 99.95",
	"JSON":               `{"id": 4815, "intent": "card_arrival", "text": "where is it", "tags": ["a", "b"], "score": 0.9871, "ok": true}`,
	"Code":               "func add(a, b int) (int, error) {\n\tif a < 0 {\n\t\treturn 0, fmt.Errorf(\"a is %d\", a)\n\t}\n\treturn a + b, nil\n}\n",
	"Mixed":              "用户反馈: My card 还没有到, order no. 48151623, please check 物流信息 ASAP!",
}

// For some scripts, the encodings differ by up to a factor of five. An estimate
// must be near both encodings if they are close to each other, and otherwise
// near their geometric mean.
func TestEstimatesAreCloseToTokenizers(t *testing.T) {
	const near = 1.5
	unknown := For("not-published")
	if unknown.Exact() {
		t.Fatal("the tokenizer is known")
	}
	for name, text := range samples {
		older, newer := float64(For("cl100k_base").Text(text)), float64(For("o200k_base").Text(text))
		want := []float64{math.Sqrt(older * newer)}
		if max(older/newer, newer/older) <= near {
			want = []float64{older, newer}
		}
		got := float64(unknown.Text(text))
		for _, w := range want {
			if got > w*near || got*near < w {
				t.Errorf("%s: estimated at %g tokens; cl100k_base has %g, o200k_base %g", name, got, older, newer)
			}
		}
	}
}

func TestEstimatesOfShortTexts(t *testing.T) {
	if n := For("not-published").Text(""); n != 0 {
		t.Errorf("%d tokens", n)
	}
	if n := For("not-published").Text("a"); n != 1 {
		t.Errorf("%d tokens", n)
	}
}
