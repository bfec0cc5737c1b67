"""Names of countries, as a question of the bank must not have them."""

COUNTRIES = (
    "Afghanistan, Albania, Algeria, Angola, Argentina, Armenia, Australia, Austria, Azerbaijan, Bahrain, "
    "Bangladesh, Belarus, Belgium, Bolivia, Bosnia, Botswana, Brazil, Britain, Bulgaria, Cambodia, "
    "Cameroon, Canada, Chile, China, Colombia, Congo, Croatia, Cuba, Cyprus, Czechia, Denmark, Ecuador, "
    "Egypt, England, Estonia, Ethiopia, Finland, France, Georgia, Germany, Ghana, Greece, Guatemala, "
    "Haiti, Honduras, Hungary, Iceland, India, Indonesia, Iran, Iraq, Ireland, Israel, Italy, Jamaica, "
    "Japan, Jordan, Kazakhstan, Kenya, Korea, Kuwait, Laos, Latvia, Lebanon, Libya, Lithuania, "
    "Luxembourg, Madagascar, Malaysia, Mali, Malta, Mexico, Moldova, Mongolia, Morocco, Mozambique, "
    "Myanmar, Namibia, Nepal, Netherlands, New Zealand, Nicaragua, Niger, Nigeria, Norway, Oman, "
    "Pakistan, Palestine, Panama, Paraguay, Peru, Philippines, Poland, Portugal, Qatar, Romania, Russia, "
    "Rwanda, Saudi Arabia, Scotland, Senegal, Serbia, Singapore, Slovakia, Slovenia, Somalia, South "
    "Africa, Spain, Sri Lanka, Sudan, Sweden, Switzerland, Syria, Taiwan, Tanzania, Thailand, Tunisia, "
    "Turkey, Uganda, Ukraine, United Kingdom, United States, America, Uruguay, Uzbekistan, Venezuela, "
    "Vietnam, Wales, Yemen, Zambia, Zimbabwe, American, Chinese, Indian, French, German, Russian, "
    "Japanese, Arab, Spanish, Italian, British, Mexican, Turkish"
).split(", ")
