"""Correct pairs of English and languages of all kinds of scripts: no rule may drop them."""

# ruff: noqa: RUF001

from __future__ import annotations

import pytest

from tests.clean.test_rules import first, rules

PAIRS = [
    ("ja", "Where are you?", "どこにいますか。"),
    ("ja", "I don't know what you are talking about.", "何のことを言っているのか分かりません。"),
    (
        "ja",
        "The train that leaves at 8:30 will arrive in Tokyo at noon.",
        "8時30分に出発する電車は、正午に東京に到着します。",
    ),
    (
        "ja",
        "He asked me whether I would be able to come to the party tomorrow.",
        "彼は私に、明日のパーティーに来られるかどうか尋ねました。",
    ),
    ("ja", "No!", "いや！"),
    ("ja", "What?", "え？"),
    ("ja", "I use an iPhone and a MacBook Pro.", "私はiPhoneとMacBook Proを使っています。"),
    ("ja", "Please visit www.example.com for details.", "詳しくはwww.example.comをご覧ください。"),
    (
        "ja",
        "She has been studying Japanese at the university for more than three years.",
        "彼女は3年以上前から大学で日本語を勉強しています。",
    ),
    ("ja", "Microsoft bought GitHub in 2018.", "マイクロソフトは2018年にGitHubを買収した。"),
    (
        "ja",
        "Thank you very much for your help the other day.",
        "先日は手伝っていただき、誠にありがとうございました。",
    ),
    ("ja", "Is it true? I can't believe it.", "本当ですか?信じられません。"),
    ("ja", '"Yes," he said.', "「はい」と彼は言った。"),
    ("ja", "Would you like something to drink?", "何かお飲み物はいかがでしょうか。"),
    (
        "ja",
        "I am sorry to have kept you waiting so long.",
        "長い間お待たせしてしまい申し訳ございませんでした。",
    ),
    ("zh", "Yes.", "是。"),
    ("zh", "Good!", "好！"),
    ("zh", "What?!", "啊？！"),
    ("zh", '"No," he said.', "“不，”他说。"),
    ("zh", "Are you OK? I'm fine.", "你好吗?我很好。"),
    ("zh", "Google and Facebook are American companies.", "Google和Facebook是美国公司。"),
    ("zh", "I like listening to Lady Gaga's songs.", "我喜欢听Lady Gaga的歌。"),
    ("zh", "Hong Kong returned to China in 1997.", "香港于一九九七年回归中国。"),
    ("zh", "The population of China is about 1.4 billion.", "中国人口约为14亿。"),
    (
        "zh",
        "For more information, visit www.example.com or write to info@example.com.",
        "欲了解更多信息，请访问www.example.com或发邮件至info@example.com。",
    ),
    (
        "zh",
        "The government has decided to raise taxes on cigarettes and alcohol from next year.",
        "政府决定从明年起提高烟酒税。",
    ),
    ("zh", "He has lived here for ten years.", "他在这里住了10年。"),
    ("zh", "Vitamin A and β-carotene are good for the eyes.", "维生素A和β胡萝卜素对眼睛有好处。"),
    (
        "zh",
        "We must do our best to protect the environment, which is the basis of our lives.",
        "我们必须尽最大努力保护环境，因为环境是我们生活的基础。",
    ),
    ("zh", "Where is the nearest subway station?", "最近的地铁站在哪里？"),
    (
        "zh",
        "The company earned 3.5 million dollars in the first half of the year.",
        "该公司上半年盈利350万美元。",
    ),
    ("ko", "I don't know what you are talking about.", "무슨 말인지 모르겠어요."),
    ("ko", "I would like to have a cup of coffee, please.", "커피 한 잔 주세요."),
    ("ko", "No!", "아니!"),
    (
        "ko",
        "He has been working for this company since 2010.",
        "그는 2010년부터 이 회사에서 일하고 있습니다.",
    ),
    (
        "ko",
        "It is one of the most beautiful places that I have ever seen.",
        "내가 본 가장 아름다운 곳 중 하나이다.",
    ),
    ("ko", "Where are you going?", "어디에 가십니까?"),
    ("ko", "Yes.", "네."),
    ("ko", "I have something that I would like to talk to you about.", "드릴 말씀이 있습니다."),
    ("ko", "Samsung Electronics released a new smartphone.", "삼성전자가 새 스마트폰을 출시했다."),
    ("ko", "There is nothing that we can do about it now.", "이제 와서 어쩔 수 없다."),
    ("th", "Where are you going?", "คุณจะไปไหน"),
    ("th", "I don't like to get up early in the morning.", "ฉันไม่ชอบตื่นเช้า"),
    (
        "th",
        "He has been teaching English at this school for twenty years.",
        "เขาสอนภาษาอังกฤษที่โรงเรียนแห่งนี้มาเป็นเวลายี่สิบปีแล้ว",
    ),
    ("th", "The weather is very hot today.", "วันนี้อากาศร้อนมาก"),
    ("th", "Thank you.", "ขอบคุณครับ"),
    (
        "th",
        "I went to the market. I bought some fruit. Then I came home. My mother was happy.",
        "ฉันไปตลาด ฉันซื้อผลไม้ แล้วฉันก็กลับบ้าน แม่ของฉันมีความสุข",
    ),
    (
        "th",
        "The government announced new measures to help small businesses affected by the crisis.",
        "รัฐบาลประกาศมาตรการใหม่เพื่อช่วยเหลือธุรกิจขนาดเล็กที่ได้รับผลกระทบจากวิกฤต",
    ),
    ("th", "In 1990 he moved to Bangkok.", "ในปี พ.ศ. 2533 เขาย้ายไปอยู่ที่กรุงเทพฯ"),
    ("th", "What is your name?", "คุณชื่ออะไรครับ"),
    ("ar", "Where are you going?", "إلى أين أنت ذاهب؟"),
    ("ar", "I don't know.", "لا أعرف."),
    ("ar", "He was born in 1985 in Cairo.", "ولد عام ١٩٨٥ في القاهرة."),
    (
        "ar",
        "The meeting will be held on Monday, 12 May, at 10:30.",
        "سيعقد الاجتماع يوم الاثنين 12 مايو الساعة 10:30.",
    ),
    ("ar", "I will write it.", "سأكتبه."),
    (
        "ar",
        "We have not yet been able to find out what happened to them.",
        "لم نتمكن بعد من معرفة ما حدث لهم.",
    ),
    ("ar", "Yes, of course!", "نعم، بالطبع!"),
    ("ar", "She gave it to us.", "أعطتنا إياه."),
    ("hi", "Where are you going?", "आप कहाँ जा रहे हैं?"),
    ("hi", "I don't know.", "मुझे नहीं पता।"),
    ("hi", "He comes here again and again.", "वह बार बार यहाँ आता है।"),
    ("hi", "India became independent on 15 August 1947.", "भारत 15 अगस्त १९४७ को स्वतंत्र हुआ।"),
    (
        "hi",
        "My brother is a doctor and he works in a big hospital in Delhi.",
        "मेरा भाई डॉक्टर है और वह दिल्ली के एक बड़े अस्पताल में काम करता है।",
    ),
    ("hi", "The price of this house is two million rupees.", "इस घर की कीमत 20 लाख रुपये है।"),
    ("hi", "Yes.", "हाँ।"),
    ("he", "Where are you going?", "לאן אתה הולך?"),
    ("he", "I don't know what to say.", "אני לא יודע מה להגיד."),
    ("he", "He told me that he would come tomorrow at 7 p.m.", "הוא אמר לי שהוא יבוא מחר ב-19:00."),
    ("ru", "I use Windows and Microsoft Office.", "Я использую Windows и Microsoft Office."),
    ("ru", "Where are you?", "Где ты?"),
    ("ru", "The thickness is 5 μm.", "Толщина составляет 5 мкм."),
    ("ru", "I have no money.", "У меня нет денег."),
    ("el", "Where are you?", "Πού είσαι;"),
    ("el", "I don't understand what you are saying.", "Δεν καταλαβαίνω τι λες."),
    ("hy", "Where are you?", "Որտե՞ղ ես։"),
    (
        "hy",
        "I don't know. I am here. Go home. Thank you. Good night.",
        "Չգիտեմ։ Ես այստեղ եմ։ Գնա տուն։ Շնորհակալություն։ Բարի գիշեր։",
    ),
    ("ur", "I don't know what he said.", "مجھے نہیں معلوم کہ اس نے کیا کہا۔"),
    ("ur", "Where are you going?", "آپ کہاں جا رہے ہیں؟"),
    ("fa", "I don't know what he said.", "نمی‌دانم او چه گفت."),
    ("fa", "Where are you going?", "کجا می‌روید؟"),
    (
        "ta",
        "I have not been able to talk to her since last week.",
        "கடந்த வாரத்திலிருந்து என்னால் அவளிடம் பேச முடியவில்லை.",
    ),
    ("ta", "Where are you going?", "நீங்கள் எங்கே போகிறீர்கள்?"),
    ("my", "I am going to school.", "ကျွန်တော် ကျောင်းသွားနေပါတယ်။"),
    ("my", "Where are you going?", "ဘယ်သွားမလို့လဲ။"),
    (
        "my",
        "He has been living in Yangon for more than ten years.",
        "သူသည် ရန်ကုန်မြို့တွင် ဆယ်နှစ်ကျော် နေထိုင်ခဲ့သည်။",
    ),
    ("km", "I want to learn the Khmer language.", "ខ្ញុំចង់រៀនភាសាខ្មែរ។"),
    ("km", "Where are you going?", "តើអ្នកទៅណា?"),
    ("am", "Where are you going?", "ወዴት እየሄድክ ነው?"),
    ("am", "I will not be able to come to your house tomorrow.", "ነገ ወደ ቤትህ መምጣት አልችልም።"),
    ("ka", "I don't know where he is.", "არ ვიცი, სად არის."),
    ("ka", "Where are you going?", "სად მიდიხარ?"),
    (
        "ms",
        "I want to go to the market with my mother tomorrow morning.",
        "Saya mahu pergi ke pasar dengan ibu saya pagi esok.",
    ),
    (
        "ms",
        "The children are playing in front of the house.",
        "Kanak-kanak sedang bermain di hadapan rumah.",
    ),
    (
        "ms",
        "He said that he could not come because he was sick.",
        "Dia berkata bahawa dia tidak boleh datang kerana dia sakit.",
    ),
    (
        "nb",
        "I want to go to the market with my mother tomorrow morning.",
        "Jeg vil gå på markedet med moren min i morgen tidlig.",
    ),
    (
        "nb",
        "He said that he could not come because he was sick.",
        "Han sa at han ikke kunne komme fordi han var syk.",
    ),
    ("nb", "We have lived in Oslo since the summer.", "Vi har bodd i Oslo siden sommeren."),
    (
        "bs",
        "I want to go to the market with my mother tomorrow morning.",
        "Želim ići na pijacu sa majkom sutra ujutro.",
    ),
    (
        "bs",
        "He said that he could not come because he was sick.",
        "Rekao je da ne može doći jer je bio bolestan.",
    ),
    (
        "sr",
        "I want to go to the market with my mother tomorrow morning.",
        "Želim da idem na pijacu sa majkom sutra ujutru.",
    ),
    (
        "sr",
        "He said that he could not come because he was sick.",
        "Рекао је да не може да дође јер је био болестан.",
    ),
    (
        "vi",
        "I want to go to the market with my mother tomorrow morning.",
        "Sáng mai tôi muốn đi chợ với mẹ tôi.",
    ),
    ("vi", "Where are you going?", "Bạn đi đâu vậy?"),
    ("uz", "I don't know what he said.", "Мен у нима деганини билмайман."),
    ("uz", "Where are you going?", "Qayerga ketyapsan?"),
    ("tr", "I would not have been able to do it without you.", "Sensiz bunu yapamazdım."),
    (
        "tr",
        "Are you one of those whom we could not bring here?",
        "Buraya getiremediklerimizden misin?",
    ),
]
WITHOUT_CODES = {"tr", "ko"}  # what is long and short in them, only their codes tell


@pytest.mark.parametrize(("lang", "src", "tgt"), PAIRS)
def test_correct_pairs_are_kept(lang: str, src: str, tgt: str) -> None:
    assert first(rules("en", lang), src, tgt) is None
    assert first(rules(lang, "en"), tgt, src) is None


@pytest.mark.parametrize(("lang", "src", "tgt"), PAIRS)
def test_they_are_kept_without_codes(lang: str, src: str, tgt: str) -> None:
    if lang not in WITHOUT_CODES:
        assert first(rules(None, None), src, tgt) is None


@pytest.mark.parametrize(
    ("rule", "lang", "src", "tgt"),
    [
        ("length_ratio", "ja", "Good morning to all of you.", "お" * 100),
        (
            "length_ratio",
            "zh",
            "I came home late yesterday because I missed the train.",
            "我回家。",
        ),
        ("length_ratio", "th", "Good morning.", "ขอบคุณครับ" * 8),
        ("script", "ja", "Good morning, Mr Tanaka.", "Good morning, Mr Tanaka."),
        ("script", "zh", "I like the red car.", "我 like the red car。"),
        ("numbers", "zh", "It was in 1997.", "那是一九九八年。"),
        ("symbols", "zh", "Good.", "！！！！！！好"),
        ("encoding", "zh", "Moscow is big.", "\u043coskau很大。"),
        ("links", "zh", "See www.example.com now.", "请看www.example.org吧。"),
        ("terminal_punctuation", "zh", "Are you there?", "你在那里。"),
    ],
)
def test_wrong_pairs_are_dropped(rule: str, lang: str, src: str, tgt: str) -> None:
    assert first(rules("en", lang), src, tgt) == rule
